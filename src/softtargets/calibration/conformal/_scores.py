"""The nonconformity scores of LAC, APS and RAPS."""

import torch
from torch import Tensor

from softtargets._checks import check_fraction, check_int
from softtargets.calibration.conformal._predictor import ConformalPredictor, predictor
from softtargets.calibration.conformal.thresholds import Rare

__all__ = ["APS", "LAC", "RAPS"]


@predictor
class LAC(ConformalPredictor):
    """Least ambiguous prediction sets (LAC): the classes whose probability is above a threshold.

    score(x, y) = 1 - softmax(z)_y
    set(x) = {y: score(x, y) <= q}
    q = the ceil((n + 1)(1 - alpha))-th smallest score(x_i, label_i) of n calibration rows

    If the calibration rows and a new row are exchangeable, the set of the new row contains its label with a probability
    of at least 1 - alpha, and of at most 1 - alpha + 1 / (n + 1) if no two scores are equal. This needs no assumption
    about the model. It is a mean over new rows and over calibration sets.

    Buffers: `alpha` () float64; `thresholds` (1,) float64, or (K,) with `class_conditional`; `class_rows` (K,) int64,
    calibration rows by label; `effective_rows` float64, of the shape of `thresholds`: the number of rows with clean
    labels that would determine the threshold as well, which is the number of rows if the labels are clean. Buffers stay
    float64 in a model of lower precision. :func:`save` writes a fitted object, and ``load(path, kind=LAC)`` reads it.

    Args:
        class_conditional: whether each class has its own threshold, from the calibration rows with its label. The
            probability of at least 1 - alpha then holds for the rows of each class.
        rare: with `class_conditional`, the rule for classes with fewer than ceil(1 / alpha) - 1 rows. "include": the
            class is in every set. "merge": all such classes share a threshold, from the rows of all of them; the
            probability holds for them together.
        allow_empty: whether a set may be empty; False adds the most likely class to every set.

    Special cases:
        fewer than ceil(1 / alpha) - 1 rows give an infinite threshold and sets with all classes, with a warning;
        logits=probs.log() gives the sets of these probabilities;
        a label with the logit -inf has the score 1 and is not left out;
        equal scores are in a set together, so that ties increase the coverage;
        transition=I gives the thresholds without `transition`.

    Notes:
        The rank is exact for the decimal number alpha: ceil((n + 1)(1 - alpha)) in floating point is one too large for
        some alpha, such as 0.18 with 149 rows.

        Noisy labels: if P(observed j | clean i, x) = T[i, j] does not depend on x, then for every t
        P(score(x, clean label) <= t) is the mean over rows of sum_k inverse(T)[observed, k] 1[score(x, k) <= t].
        `fit` with `transition` takes the smallest t from which on this estimate stays at ceil((n + 1)(1 - alpha)) / n
        or above. With `class_conditional`, column k alone is used for class k. The estimate is that of Sesia et al.
        2024 (class-conditional) and Bortolotti et al. 2025, without their finite-sample terms, and with symmetric noise
        that of Penso et al. 2025.

        Without noise, the coverage of one fitted object on new rows has the distribution Beta(r,
        n + 1 - r) over calibration sets, r = ceil((n + 1)(1 - alpha)): see :func:`coverage_range`.

    When to use:
        Sets that are as small as possible on average. For sets whose size follows the difficulty of the row, use APS or
        RAPS. Calibrate the probabilities first (on other rows) if their sizes should be meaningful.

    Limitations:
        Rows that are easy or hard have other coverages than 1 - alpha: a hard row can have an empty set, a row with
        confident wrong predictions misses its label. The guarantee is lost if new rows are drawn from another
        distribution, or if the calibration rows were used for training, for early stopping or for a temperature.

        With `transition`, coverage is 1 - alpha up to an error of order 1 / `effective_rows`, not at least 1 - alpha,
        and errors of an estimated T are not accounted for. Noise that depends on the input is not corrected.

    Complexity:
        O(n (K + log n)) time, in chunks of rows. With `transition` O(n K log(n K)) time and n K numbers in float64.

    References:
        Sadinle, Lei & Wasserman 2019, *Least Ambiguous Set-Valued Classifiers with Bounded Error Levels*, JASA;
        Vovk, Gammerman & Shafer 2005, *Algorithmic Learning in a Random World*; Vovk 2012, *Conditional Validity of
        Inductive Conformal Predictors*, ACML (class-conditional); Sesia, Wang & Tong 2024, *Adaptive Conformal
        Classification with Noisy Labels*, JRSSB, arXiv:2309.05092, Bortolotti et al. 2025, *Noise-Adaptive Conformal
        Classification with Marginal Coverage*, arXiv:2501.18060, and Penso, Goldberger & Fetaya 2025, *Conformal
        Prediction of Classifiers with Many Classes based on Noisy Labels*, arXiv:2501.12749 (noisy labels)

    Aliases:
        split conformal prediction; least ambiguous classifiers; threshold conformal prediction; THR;
        LACConformityScore; SplitPredictor; SplitConformalClassifier; ClassConditionalPredictor; Mondrian conformal
        prediction

    Topics:
        known label noise, overconfidence

    Example:
        >>> logits = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.4, 0.6]]).log()
        >>> fitted = LAC().fit(logits, torch.tensor([0, 0, 0, 0]), alpha=0.4)        # rank ceil(5 * 0.6) = 3
        >>> round(float(fitted.thresholds), 4)        # the third smallest of .1, .2, .3, .6
        0.3
        >>> fitted.predict_sets(torch.tensor([[0.75, 0.25], [0.6, 0.4]]).log())
        tensor([[ True, False],
                [False, False]])
    """

    hyperparameters = ("class_conditional", "rare", "allow_empty")

    def _class_scores(self, probs: Tensor, uniform: Tensor | None) -> Tensor:
        return 1 - probs


@predictor
class APS(ConformalPredictor):
    """Adaptive prediction sets (APS): the most likely classes, until their sum of probabilities reaches a threshold.

    score(x, y) = sum of softmax(z)_k over classes k before y + u softmax(z)_y        # by decreasing probability
    set(x) = {y: score(x, y) <= q}
    q = the ceil((n + 1)(1 - alpha))-th smallest score(x_i, label_i) of n calibration rows

    u is uniform in [0, 1), one number for each row, or 1 with ``randomized=False``. The coverage, the buffers, noisy
    labels and classes with few rows are as in :class:`LAC`.

    Args:
        randomized: whether u is random. If not, sets are larger.
        class_conditional: as in :class:`LAC`.
        rare: as in :class:`LAC`.
        allow_empty: whether a set may be empty; False adds the most likely class to every set. The coverage then
            exceeds 1 - alpha if the accuracy does.

    Special cases:
        randomized=False gives the score of u = 1, the sum up to and including y;
        on ties of probabilities the lowest class is first;
        fewer than ceil(1 / alpha) - 1 rows give an infinite threshold and sets with all classes, with a warning;
        transition=I gives the thresholds without `transition`.

    Notes:
        The randomised sets are those of Romano et al. 2020: the smallest set of most likely classes that reaches q,
        without its last class with a probability that makes the coverage exact. All classes of a row have the same u.
        Without randomisation, the class that reaches q is in the set only if the sum up to it equals q. MAPIE and the
        code of the authors of RAPS add this class too: their sets have one class more, and a coverage above 1 - alpha.

        `uniform` of :meth:`predict_sets` fixes u, so that the same row gets the same set again.

    When to use:
        Sets whose size should follow the difficulty of the row: few classes for easy rows, many for hard ones. The
        coverage is more even over rows than that of LAC.

    Limitations:
        With many classes, the noise of small probabilities makes sets large: use RAPS. A sure prediction has an empty
        set if u is above q, unless ``allow_empty=False``. Other limitations are those of :class:`LAC`.

    Complexity:
        O(n (K log K + log n)) time, in chunks of rows.

    References:
        Romano, Sesia & Candès 2020, *Classification with Valid and Adaptive Coverage*, NeurIPS, arXiv:2006.02544

    Aliases:
        adaptive conformal classification; APSConformityScore; generalized inverse quantile score

    Topics:
        overconfidence

    Example:
        >>> logits = torch.tensor([[0.5, 0.3, 0.2], [0.6, 0.3, 0.1], [0.7, 0.2, 0.1]]).log()
        >>> fitted = APS(randomized=False).fit(logits, torch.tensor([1, 0, 0]), alpha=0.5)        # rank 4 * .5 = 2
        >>> round(float(fitted.thresholds), 4)        # the second smallest of .8, .6, .7
        0.7
        >>> fitted.predict_sets(torch.tensor([[0.2, 0.4, 0.4], [0.25, 0.3, 0.45]]).log()).tolist()
        [[False, True, False], [False, False, True]]
    """

    hyperparameters = ("randomized", "class_conditional", "rare", "allow_empty")

    def __init__(
        self,
        *,
        randomized: bool = True,
        class_conditional: bool = False,
        rare: Rare = "include",
        allow_empty: bool = True,
    ) -> None:
        super().__init__(class_conditional=class_conditional, rare=rare, allow_empty=allow_empty)
        self._randomized = bool(randomized)

    @property
    def randomized(self) -> bool:
        """Whether u is random."""
        return self._randomized

    def _class_scores(self, probs: Tensor, uniform: Tensor | None) -> Tensor:
        return _ranked_scores(probs, uniform, None)


@predictor
class RAPS(ConformalPredictor):
    """Regularised adaptive prediction sets (RAPS): APS with a penalty for classes of high rank.

    score(x, y) = APS score(x, y) + penalty max(0, rank(y) - k_reg)        # rank 1 is the most likely class
    set(x) = {y: score(x, y) <= q}
    q = the ceil((n + 1)(1 - alpha))-th smallest score(x_i, label_i) of n calibration rows

    The coverage, the buffers, noisy labels and classes with few rows are as in :class:`LAC`; u is as in :class:`APS`.

    Args:
        penalty: lambda of the paper, added for each rank above `k_reg`, at least 0.
        k_reg: number of ranks without a penalty, at least 0. The paper takes a rank that includes the label of about
            1 - alpha of the rows.
        randomized: as in :class:`APS`.
        class_conditional: as in :class:`LAC`.
        rare: as in :class:`LAC`.
        allow_empty: as in :class:`APS`.

    Special cases:
        penalty=0 gives APS; k_reg=K gives APS;
        fewer than ceil(1 / alpha) - 1 rows give an infinite threshold and sets with all classes, with a warning;
        transition=I gives the thresholds without `transition`.

    Notes:
        u multiplies the probability, not the penalty, as in the paper; the authors' code multiplies the penalty that
        the last rank adds too.

        `penalty` and `k_reg` may be chosen from data, but not from the calibration rows: the threshold would depend on
        them twice, and the coverage would no longer be known.

    When to use:
        Many classes, where APS has large sets because of small probabilities of unlikely classes.

    Limitations:
        A large penalty gives all rows sets of about `k_reg` classes: hard rows then miss their labels more often than
        easy ones. Other limitations are those of :class:`LAC`.

    Complexity:
        O(n (K log K + log n)) time, in chunks of rows.

    References:
        Angelopoulos, Bates, Malik & Jordan 2021, *Uncertainty Sets for Image Classifiers using Conformal Prediction*,
        ICLR, arXiv:2009.14193

    Aliases:
        RAPSConformityScore; regularized adaptive prediction sets

    Topics:
        many classes, overconfidence

    Example:
        >>> logits = torch.tensor([[0.5, 0.3, 0.2]]).log()        # sums .5, .8, 1 and penalties 0, .1, .2
        >>> RAPS(penalty=0.1, k_reg=1, randomized=False).scores(logits).round(decimals=4).tolist()
        [[0.5, 0.9, 1.2]]
    """

    hyperparameters = ("penalty", "k_reg", "randomized", "class_conditional", "rare", "allow_empty")

    def __init__(
        self,
        *,
        penalty: float = 0.01,
        k_reg: int = 5,
        randomized: bool = True,
        class_conditional: bool = False,
        rare: Rare = "include",
        allow_empty: bool = True,
    ) -> None:
        check_fraction("penalty", penalty, high=float("inf"), remedy="0 gives APS")
        check_int("k_reg", k_reg, least=0, remedy="5 is usual for 1,000 classes")
        super().__init__(class_conditional=class_conditional, rare=rare, allow_empty=allow_empty)
        self.penalty, self.k_reg, self._randomized = float(penalty), int(k_reg), bool(randomized)

    @property
    def randomized(self) -> bool:
        """Whether u is random."""
        return self._randomized

    def _class_scores(self, probs: Tensor, uniform: Tensor | None) -> Tensor:
        rank = torch.arange(1, probs.shape[-1] + 1, dtype=probs.dtype, device=probs.device)
        return _ranked_scores(probs, uniform, self.penalty * (rank - self.k_reg).clamp(min=0))


def _ranked_scores(probs: Tensor, uniform: Tensor | None, penalty: Tensor | None) -> Tensor:
    """Return the sum of the probabilities of the classes before each class, and u times its own, (..., K).

    Args:
        probs: (..., K) float64.
        uniform: (...) float64, u of each row; None: 1.
        penalty: (K,) float64, added by rank; None: nothing.
    """
    # stable: on ties the lower class is first
    ordered, order = torch.sort(probs, dim=-1, descending=True, stable=True)
    found = ordered.cumsum(-1)
    if uniform is not None:
        found = found - (1 - uniform[..., None]) * ordered
    if penalty is not None:
        found = found + penalty
    return torch.empty_like(found).scatter(-1, order, found)
