"""Finding wrong labels in one call."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import torch
from torch import Tensor

from softtargets._arrays import ArrayLike, array_function
from softtargets._checks import check_fraction
from softtargets._errors import fail, unknown
from softtargets._results import TensorResult
from softtargets._rows import read_rows
from softtargets.matrices import Transition
from softtargets.noise._confident import confident_joint
from softtargets.noise._estimation import estimate_with_prior
from softtargets.noise._posterior import fit_prior
from softtargets.noise._quality import label_posterior, normalized_margin, self_confidence, suspect_order
from softtargets.noise._suspects import confident_suspects, expected_wrong
from softtargets.noise.estimators.registry import find_estimator

__all__ = ["LabelIssues", "find_label_issues"]

SCORES = ("self_confidence", "normalized_margin", "label_posterior")
# Steps of the label posterior. More steps fit errors of the model and make the posterior overconfident.
ROUNDS = 5
# Fraction of the examples of a class that `anchor_counts` counts.
ANCHOR_SHARE = 0.2
# Below this agreement of predictions and labels, the probabilities give no lower bound of the noise rate.
WEAK = 0.5


@dataclass(frozen=True, eq=False, repr=False)
class LabelIssues(TensorResult):
    """Labels that are probably wrong. ``len()`` is their number.

    Args:
        indices: (M,) int64, the flagged examples, worst first; they index the flattened labels.
        scores: (...) quality of every label, low is suspect; NaN for examples that are left out.
        is_issue: (...) bool, the flagged examples.
        suggested_labels: (...) int64, the predicted class for flagged examples, and the given label for all others.
        wrong_probability: (...) float64, estimated probability that a label is wrong; NaN for examples left out. Its
            sum over some examples is the expected number of wrong labels among them.
        expected_wrong: expected number of wrong labels among all examples that are not left out.
        expected_wrong_low: lower end of its interval.
        expected_wrong_high: upper end.
        noise_rate: estimated fraction of wrong labels.
        agreement: fraction of labels that equal the predicted class.
        transition: the estimated transition, row = clean, column = observed.
    """

    indices: Tensor
    scores: Tensor
    is_issue: Tensor
    suggested_labels: Tensor
    wrong_probability: Tensor
    expected_wrong: float
    expected_wrong_low: float
    expected_wrong_high: float
    noise_rate: float
    agreement: float
    transition: Transition

    def __len__(self) -> int:
        return len(self.indices)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        counted = int((self.scores == self.scores).sum())
        ends = f"[{self.expected_wrong_low:.0f}, {self.expected_wrong_high:.0f}]"
        worst = ", ".join(str(int(index)) for index in self.indices[:3])
        more = "" if len(self) <= 3 else ", ..."
        found = f"{len(self):,} of {counted:,} labels flagged, expected wrong {self.expected_wrong:.0f} {ends}"
        weak = ": many of them may be errors of the model" if self.agreement < WEAK else ""
        return f"LabelIssues({found}, predictions agree with {self.agreement:.1%}{weak}, indices=[{worst}{more}])"


@array_function
def find_label_issues(
    labels: ArrayLike,
    probs: ArrayLike,
    *,
    method: str | Transition = "confident_joint",
    score: str = "self_confidence",
    confidence: float = 0.95,
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: ArrayLike | None = None,
) -> LabelIssues:
    """Label issues: find labels that are probably wrong, ranked, with the expected number of wrong labels.

    rate  = min(noise rate by `method`, noise rate by anchor_counts)
    flag the round(rate * N) labels of lowest score among those that differ from the predicted class

    The labels are the first argument, as in cleanlab's function of the same name. The confident joint counts the errors
    of a weak model as noise. This error is much smaller in the anchor counts, which use the observed labels of only the
    most confident examples: if noise depends on the class only, their rate is an upper bound of the true rate, apart
    from sampling error. The smaller of the two rates is therefore used, together with its transition.

    Args:
        labels: (...) integer observed labels in [0, K).
        probs: (..., K) float, held-out predicted probabilities of all classes, from cross-validation for example.
        method: how to estimate the noise rate and the transition: the name of an estimator that takes observed labels
            (see :func:`estimate_transition`), or a known Transition, which is used unchanged.
        score: quality score of the ranking: "self_confidence", "normalized_margin" or "label_posterior".
        confidence: of the interval of the expected number, in [0, 1).
        class_dim: axis of the classes in probs.
        ignore_index: label of examples to leave out.
        mask: (...) bool, False for examples to leave out; None: include all.

    Returns:
        LabelIssues; its tensors are NumPy arrays if labels and probs were.

    Raises:
        ValueError: if a row does not hold probabilities (first one named), shapes differ, a label is out of range, no
            example is left, or the method or score is unknown.
        TypeError: if probs are not floating-point, labels not integers or mask not bool.

    Special cases:
        one-hot probs of the labels flag nothing, and so does a Transition without noise.

    Notes:
        The interval of the expected number covers three errors, added in quadrature: which labels are wrong given the
        rate, the sampling error of the rate, and its systematic error. The systematic error is the difference between
        the two rates, on both sides. On the lower side it is the difference to the fraction of labels that
        :func:`confident_suspects` marks, if that is larger. It does not cover predictions that are confidently wrong
        for many examples. If the predictions agree with fewer than half of the labels, the lower end is that of rate 0,
        since ambiguous inputs and wrong labels then look the same, and the printed result says so. cleanlab's
        default (filter_by="prune_by_noise_rate", 2.9) flags as many labels as the confident joint counts off its
        diagonal, cell by cell, and returns a mask; ``filter_by="confident_learning"`` is :func:`confident_suspects`.
        Like cleanlab, this function never flags a label that is the predicted class.

    Complexity:
        O(N K) for the scores and the confident joint, O(N K^2) for the posterior, in chunks; a few numbers per example
        besides probs.

    When to use:
        As the first step to find wrong labels in a data set. Check the flagged examples manually, in order.

    Limitations:
        The result is only as good as the probabilities. They must be out of sample: a model that was trained on
        the labels agrees with them. With a weak model many flagged labels are right: with logistic regression on 8 of
        the 64 pixels of scikit-learn's digits, which agrees with 41 % of the labels, a third of the flagged labels were
        wrong. Noise that concentrates on hard examples, as human label noise does, is underestimated.

    Aliases:
        find_label_errors; label_errors; prune_by_noise_rate; CleanLearning; get_noise_indices; Datalab

    Topics: label issues

    References:
        Northcutt et al. 2021, *Confident Learning: Estimating Uncertainty in Dataset Labels*, Journal of Artificial
        Intelligence Research; the rule of the noise rate is ours

    Example:
        >>> probs = torch.tensor([[0.9, 0.1]] * 5 + [[0.1, 0.9]] * 5)
        >>> labels = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 1, 1])        # the fifth label looks wrong
        >>> found = find_label_issues(labels, probs)
        >>> found.indices.tolist(), found.suggested_labels[4].item()
        ([4], 0)
    """
    if score not in SCORES:
        raise unknown("score", str(score), SCORES)
    check_fraction("confidence", confidence, high=math.nextafter(1, 0), remedy="choose a value such as 0.95")
    read = read_rows(probs, labels, class_dim=class_dim, ignore_index=ignore_index, mask=mask)
    rows, given = read.counted_probs
    predicted = rows.detach().argmax(1)
    differs = predicted != given
    agreement = 1 - float(differs.double().mean())
    noise = _estimate_noise(method, rows, given, agreement=agreement, confidence=confidence)
    posterior = label_posterior(rows, given, noise.transition, class_prior=noise.prior, rounds=ROUNDS)
    by_name = {"self_confidence": self_confidence, "normalized_margin": normalized_margin}
    quality = by_name[score](rows, given) if score in by_name else posterior
    # no more certain than one in N, which is all that N examples can show
    wrong = (1 - posterior.double()).clamp(0.5 / len(given), 1 - 0.5 / len(given))
    order = suspect_order(quality)
    expected = expected_wrong(
        wrong, order, noise_rate=noise.rate, noise_rate_interval=(noise.low, noise.high), confidence=confidence
    )
    probability = torch.empty_like(wrong)
    probability[order] = expected.expected.diff(prepend=wrong.new_zeros(1)).clamp(0, 1)
    flagged = suspect_order(quality, mask=differs)[: round(noise.rate * len(given))]
    is_issue = torch.zeros_like(differs)
    is_issue[flagged] = True
    places = flagged if read.kept is None else read.kept.nonzero().flatten()[flagged]
    suggested = labels.long().flatten().to(rows.device, copy=True)
    suggested[places] = predicted[flagged]
    return LabelIssues(
        indices=places,
        scores=read.spread(quality, math.nan),
        is_issue=read.spread(is_issue, False),
        suggested_labels=suggested.view(read.shape),
        wrong_probability=read.spread(probability, math.nan),
        expected_wrong=float(expected.expected[-1]),
        expected_wrong_low=float(expected.low[-1]),
        expected_wrong_high=float(expected.high[-1]),
        noise_rate=noise.rate,
        agreement=agreement,
        transition=noise.transition,
    )


@dataclass(frozen=True, eq=False)
class _Noise:
    """A transition, the (K,) prior of the clean classes, and the noise rate with its interval."""

    transition: Transition
    prior: Tensor
    rate: float
    low: float
    high: float


def _estimate_noise(
    method: str | Transition, probs: Tensor, labels: Tensor, *, agreement: float, confidence: float
) -> _Noise:
    """Return the more careful of two estimates, and an interval that spans both and the sampling error."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    if isinstance(method, Transition | Tensor):
        known = Transition.wrap(method)
        if known.num_classes != probs.shape[1]:
            required = f"a transition of {probs.shape[1]} classes, as in probs"
            raise fail("method", required, known.num_classes, "pass the transition of these classes")
        prior = fit_prior(known, labels)
        rate = min(max(float(known.noise_rate(prior)), 0.0), 1.0)
        return _Noise(known, prior, rate, *_interval(rate, 0.0, 0.0, z=z, count=len(labels)))
    estimator = find_estimator(method)
    if estimator.uses_labels == "clean":
        required, got = "an estimator from observed labels", f"'{method}', which needs clean labels"
        remedy = f"pass method=estimate_transition(trusted_probs, clean_labels, method='{method}')"
        raise fail("method", required, got, remedy)
    other = find_estimator("anchor_counts" if method != "anchor_counts" else "confident_joint")
    found = sorted((estimate_with_prior(one(probs, labels), labels) for one in (estimator, other)), key=lambda e: e[2])
    (transition, prior, rate), (_, _, larger) = found
    rate = min(max(rate, 0.0), 1.0)
    # labels that the predictions contradict one by one: the rates also count labels of uncertain predictions
    suspects = confident_suspects(probs, labels, confident_joint(probs, labels))
    below = max(larger - rate, rate - float(suspects.double().mean()))
    count = max(1, round(ANCHOR_SHARE * len(labels)))
    low, high = _interval(rate, below, larger - rate, z=z, count=count)
    return _Noise(transition, prior, rate, 0.0 if agreement < WEAK else low, high)


def _interval(rate: float, below: float, above: float, *, z: float, count: int) -> tuple[float, float]:
    """Return the ends of a rate's interval: sampling error and systematic errors on both sides, added in quadrature."""
    # as in the interval of Agresti and Coull: at a rate of 0 the error is not 0
    shrunk = (rate * count + z * z / 2) / (count + z * z)
    sampling = z * math.sqrt(shrunk * (1 - shrunk) / (count + z * z))
    return max(rate - math.hypot(below, sampling), 0.0), min(rate + math.hypot(above, sampling), 1.0)
