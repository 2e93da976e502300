"""How the outputs of members become those of an ensemble."""

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from softtargets._arrays import ArrayLike
from softtargets._errors import fail
from softtargets.ensembles.inputs import read_members

# Values of C from which stacking chooses by cross-validation, and the number of folds.
_STRENGTHS, _FOLDS = (0.001, 0.01, 0.1, 1.0), 5
# C if a class has a single row, which rules cross-validation out.
_CAUTIOUS = 0.01

COMBINATIONS: dict[str, type["Combination"]] = {}
Registered = TypeVar("Registered", bound="Combination")


def combination(name: str, words: str) -> Callable[[type[Registered]], type[Registered]]:
    """Register the decorated class.

    Args:
        name: its name in files.
        words: what it is, for model cards.
    """

    def register(cls: type[Registered]) -> type[Registered]:
        cls.name, cls.words = name, words
        COMBINATIONS[name] = cls
        return cls

    return register


class Combination(nn.Module):
    """A map from the logits of members to logits of the ensemble. Its buffers are the arguments of its constructor."""

    #: Set by :func:`combination`.
    name: ClassVar[str]
    words: ClassVar[str]
    #: Whether members count equally by their probabilities or logits, so that they can be calibrated one by one.
    averages: ClassVar[bool] = False

    @property
    def num_members(self) -> int | None:
        """The number of members that it combines; None: any number."""
        return None

    @abstractmethod
    def forward(self, logits: Tensor) -> Tensor:
        """Return the (N, K) logits of the ensemble from the (M, N, K) logits of its members."""


@combination("probs", "mean of the probabilities")
class MeanProbs(Combination):
    """The mean of the members' probabilities (Lakshminarayanan et al. 2017).

    log((1 / M) sum_m softmax(z_m))

    Example:
        >>> MeanProbs()(torch.tensor([[[0.75, 0.25]], [[0.25, 0.75]]]).log()).exp().tolist()
        [[0.5, 0.5]]
    """

    averages = True

    def forward(self, logits: Tensor) -> Tensor:
        """Return the (N, K) log-probabilities of the ensemble from the (M, N, K) logits of its members."""
        return logits.log_softmax(-1).logsumexp(0) - math.log(len(logits))


@combination("logits", "mean of the logits")
class MeanLogits(Combination):
    """The mean of the members' logits: the normalised geometric mean of their probabilities.

    (1 / M) sum_m z_m
    """

    averages = True

    def forward(self, logits: Tensor) -> Tensor:
        """Return the (N, K) logits of the ensemble from the (M, N, K) logits of its members."""
        return logits.mean(0)


@combination("votes", "weighted votes of SAMME")
class WeightedVotes(Combination):
    """The sum of weighted votes for the predicted classes, as logits (Zhu et al. 2009).

    sum_m alpha_m [argmax z_m = k]

    The class with the largest sum is that of SAMME. Its additive model f gives the probabilities softmax(f / (K - 1)),
    which are the softmax of these sums.

    Args:
        weights: alpha of each member, at least 0.

    Raises:
        InputError: if a weight is negative or not finite, or they have another shape.
    """

    weights: Tensor

    def __init__(self, weights: Sequence[float] | Tensor) -> None:
        super().__init__()
        given = torch.as_tensor(weights, dtype=torch.float32)
        if given.ndim != 1 or not bool(((given >= 0) & given.isfinite()).all()):
            remedy = "give a member that must not count the weight 0"
            raise fail("weights", "one finite number of at least 0 for each member", given.tolist(), remedy)
        self.register_buffer("weights", given)

    @property
    def num_members(self) -> int:
        """The number of weights."""
        return len(self.weights)

    def forward(self, logits: Tensor) -> Tensor:
        """Return the (N, K) logits of the ensemble from the (M, N, K) logits of its members."""
        votes = nn.functional.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype)
        return (votes * self.weights.to(logits.dtype)[:, None, None]).sum(0)


@combination("stacking", "logistic regression that was fitted to held-out predictions")
class StackedLogits(Combination):
    """Stacking: multinomial logistic regression on the members' log-probabilities (Wolpert 1992).

    W [log softmax(z_1), ..., log softmax(z_M)] + b

    Args:
        weight: (K, M K).
        bias: (K,).
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        if weight.ndim != 2 or bias.shape != weight.shape[:1] or weight.shape[1] % max(len(bias), 1):
            got = f"shapes {tuple(weight.shape)} and {tuple(bias.shape)}"
            raise fail("weight", "shape (K, M K), and a bias (K,)", got, "use StackedLogits.fit(logits, labels)")
        self.register_buffer("weight", weight.float())
        self.register_buffer("bias", bias.float())

    @property
    def num_members(self) -> int:
        """M."""
        return self.weight.shape[1] // self.weight.shape[0]

    @classmethod
    def fit(cls, logits: ArrayLike, labels: ArrayLike) -> "StackedLogits":
        """Fit scikit-learn's LogisticRegression to out-of-fold predictions.

        Its C is the one of 0.001, 0.01, 0.1 and 1 with the lowest NLL in 5-fold cross-validation of these rows: unlike
        probabilities, log-probabilities are not bounded, so that no single value suits all networks. C is 0.01 if a
        class has a single row.

        Args:
            logits: (M, N, K) of members that were not trained on these rows; a tensor or an array.
            labels: (N,) integers.

        Raises:
            InputError: for another shape, a label that is not one of the K classes, or a class without a row.
            InputTypeError: if they are not a tensor or an array.
        """
        from sklearn.linear_model import LogisticRegression

        logits, labels = read_members(logits, labels, least=1)
        num_classes = logits.shape[-1]
        counts = labels.bincount(minlength=num_classes)
        if int(counts.min()) == 0:
            missing = int(counts.argmin())
            raise fail("ensemble", "rows of every class for stacking", f"none of class {missing}", "use more rows")
        features, classes = _features(logits.double()).numpy(force=True), labels.numpy(force=True)
        strength = _choose_strength(features, classes, fewest=int(counts.min()))
        model = LogisticRegression(C=strength, max_iter=2000).fit(features, classes)
        weight, bias = model.coef_, model.intercept_
        if num_classes == 2:  # log-odds of class 1
            weight, bias = np.concatenate([np.zeros_like(weight), weight]), np.array([0.0, float(bias[0])])
        return cls(torch.from_numpy(weight), torch.from_numpy(bias))

    def forward(self, logits: Tensor) -> Tensor:
        """Return the (N, K) logits of the ensemble from the (M, N, K) logits of its members."""
        return nn.functional.linear(_features(logits), self.weight.to(logits.dtype), self.bias.to(logits.dtype))


def _choose_strength(features: np.ndarray, labels: np.ndarray, fewest: int) -> float:
    """Return the C with the lowest NLL in cross-validation; `fewest` is the number of rows of the smallest class."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    if fewest < 2:  # a fold would have no row of the class
        return _CAUTIOUS
    folds = StratifiedKFold(min(_FOLDS, fewest), shuffle=True, random_state=0)

    def score(strength: float) -> float:
        model = LogisticRegression(C=strength, max_iter=2000)
        return float(cross_val_score(model, features, labels, cv=folds, scoring="neg_log_loss").mean())

    return max(_STRENGTHS, key=score)


def _features(logits: Tensor) -> Tensor:
    """Return the (N, M K) log-probabilities of (M, N, K) logits."""
    return logits.log_softmax(-1).transpose(0, 1).flatten(1)
