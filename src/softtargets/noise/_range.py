"""The share of wrong labels as a range: several principles, and the part that errors of the model can explain."""

import math
from dataclasses import dataclass
from statistics import NormalDist

from torch import Tensor

from softtargets._arrays import ArrayLike, array_function
from softtargets._checks import check_fraction
from softtargets._results import TensorResult
from softtargets._rows import read_rows
from softtargets.noise._confident import confident_joint
from softtargets.noise._mixture import NoiseMixture, fit_mixture
from softtargets.noise._suspects import confident_suspects

__all__ = ["NoiseRange", "estimate_noise_range"]

# The constants below were chosen on the development half of benchmarks/audit.py.
# Weight of the penalty that makes the clean classes certain, for the sharp mixture.
SHARP = 0.3
# The two mixtures agree if the soft one explains all of the sharp one's noise except this share.
AGREE = 0.35
# Shares of the most confident predictions of each class whose labels are counted.
ANCHOR_SHARES = (0.2, 0.5)
# Parts of the disagreement that is not explained by noise: by how much the estimate is lowered for it, and how far
# below and above the estimate the range extends.
LOWERED, BELOW, ABOVE = 0.15, 0.9, 0.2
# Below this agreement of predictions and labels, there is no lower end.
LEAST_AGREEMENT = 0.5
# Confidences that differ by less are equal.
_TIE = 1e-6
# Smaller rates are 0: the mixture approaches 0 without reaching it.
_NONE = 1e-6
# The rate is told if the range is at most this wide.
TOLD = 0.15


@dataclass(frozen=True, eq=False, repr=False)
class NoiseRange(TensorResult):
    """The estimated share of wrong labels.

    Args:
        estimate: point estimate, a fraction.
        low: lower end: the share that errors of the model cannot explain.
        high: upper end.
        disagreement: share of the labels that differ from the predicted class.
        agree: whether the two mixtures agree, and the predictions agree with at least half of the labels. If not, the
            labels are explained as well by noise as by errors of the model.
        accuracy: estimated accuracy of the predictions on the clean labels.
        principles: estimates by name: "mixture" and "sharp_mixture" (noise and confusions fitted jointly), "anchors"
            (labels of the most confident predictions), "confident_issues" (labels that are confidently contradicted),
            "disagreement" (labels that differ from the predicted class).
        mixture: the soft mixture, whose probability that a label is wrong ranks the labels.
    """

    estimate: float
    low: float
    high: float
    disagreement: float
    agree: bool
    accuracy: float
    principles: dict[str, float]
    mixture: NoiseMixture

    @property
    def told(self) -> bool:
        """Whether the rate can be told: the mixtures agree and the range is at most 15 points wide."""
        return self.agree and self.high - self.low <= TOLD

    def __repr__(self) -> str:
        return f"NoiseRange({self.estimate:.4g} [{self.low:.4g}, {self.high:.4g}], accuracy={self.accuracy:.3g})"


@array_function
def estimate_noise_range(
    probs: ArrayLike,
    labels: ArrayLike,
    *,
    confidence: float = 0.9,
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: ArrayLike | None = None,
) -> NoiseRange:
    """Estimate the share of wrong labels as a range that allows for errors of the model.

    soft, sharp = noise rates of two mixtures,  anchors = disagreement of the most confident predictions of each class
    base        = (soft + anchors) / 2 if sharp - soft <= 0.35 sharp, else anchors
    estimate    = base - 0.15 (disagreement - base)
    low         = min(estimate - 0.9 c, soft) - s,  c = disagreement - estimate;  0 if disagreement > 1 / 2
    high        = estimate + 0.2 c + s,  s = sampling error

    A label that differs from the prediction is wrong, or the prediction is. Noise that depends on the class only is
    equally frequent at every confidence, whereas errors of the model become rare where it is confident. The mixture
    fits both to the out-of-sample probabilities, and rescales these at the same time. Labels of the most confident
    predictions show the noise directly. The part of the disagreement that is not explained by noise measures how weak
    the model is, and widens the range.

    Args:
        probs: (..., K) float, out-of-sample predicted probabilities of all classes.
        labels: (...) integer observed labels in [0, K).
        confidence: of the sampling error, in [0, 1).
        class_dim: axis of the classes in probs.
        ignore_index: label of examples to leave out.
        mask: (...) bool, False for examples to leave out; None: include all.

    Returns:
        NoiseRange.

    Raises:
        ValueError: as :func:`confident_joint`, and if confidence is out of range.
        TypeError: as :func:`confident_joint`.

    Special cases:
        one-hot probs of the labels give an estimate and a lower end of 0.

    Notes:
        The rule and its constants were chosen on the development half of our benchmark, and judged on the other half:
        see benchmarks/RESULTS.md.

    Complexity:
        About 60 passes over the N x K probabilities in float64. Pass a sample of the rows if there are very many.

    When to use:
        To report how many labels are wrong, and whether the model is good enough to tell.

    Limitations:
        No method can separate wrong labels from confident errors of the model without relabelled examples. Human
        noise is more frequent on hard examples, which the upper end covers only in part.

    Aliases:
        num_label_issues; noise_rate; label_noise_rate

    Example:
        >>> labels = torch.arange(400) % 2
        >>> probs = torch.eye(2)[labels] * 0.8 + 0.1
        >>> labels[:40] = 1 - labels[:40]  # 10 % of the labels are wrong
        >>> found = estimate_noise_range(probs, labels)
        >>> round(found.estimate, 2), found.low < 0.1 < found.high
        (0.09, True)
    """
    check_fraction("confidence", confidence, high=math.nextafter(1, 0), remedy="choose a value such as 0.9")
    read = read_rows(probs, labels, class_dim=class_dim, ignore_index=ignore_index, mask=mask)
    rows, given = (values.detach().cpu() for values in read.counted_probs)
    joint = confident_joint(rows, given)
    soft, sharp = fit_mixture(rows, given), fit_mixture(rows, given, entropy=SHARP)
    disagreement = float((rows.argmax(1) != given).double().mean())
    anchors = min(_anchors(rows, given, share) for share in ANCHOR_SHARES)
    agree = sharp.noise_rate - soft.noise_rate <= AGREE * sharp.noise_rate
    base = (soft.noise_rate + anchors) / 2 if agree else anchors
    estimate = base - LOWERED * max(disagreement - base, 0.0)
    estimate = estimate if estimate > _NONE else 0.0
    sampling, confused = _sampling_error(estimate, len(given), confidence), max(disagreement - estimate, 0.0)
    # a model that contradicts most labels gives no lower end: it may be too weak
    weak = disagreement > 1 - LEAST_AGREEMENT
    low = 0.0 if weak else max(min(estimate - BELOW * confused, soft.noise_rate) - sampling, 0.0)
    high = min(estimate + ABOVE * confused + sampling, 1.0)
    principles = {
        "mixture": soft.noise_rate,
        "sharp_mixture": sharp.noise_rate,
        "anchors": anchors,
        "confident_issues": float(confident_suspects(rows, given, joint).double().mean()),
        "disagreement": disagreement,
    }
    accuracy = min((1 - disagreement) / max(1 - estimate, 1e-9), 1.0)
    return NoiseRange(estimate, low, high, disagreement, agree and not weak, accuracy, principles, soft)


def _sampling_error(estimate: float, count: int, confidence: float) -> float:
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    # the principles use the more confident part of the labels; a rate of 0 has an error as well
    return z * math.sqrt(max(estimate, 0.02) * (1 - estimate) / (0.7 * count))


def _anchors(probs: Tensor, labels: Tensor, share: float) -> float:
    """Return the disagreement among this share of the predictions of each class, the most confident ones."""
    confidence, predicted = probs.max(1)
    order = confidence.argsort(descending=True, stable=True)
    order = order[predicted[order].argsort(stable=True)]
    counts = predicted.bincount(minlength=probs.shape[1])
    classes = predicted[order]
    starts = counts.cumsum(0) - counts
    last = starts + (share * counts.double()).ceil().long().clamp(min=1) - 1
    # predictions that are as confident as the last one belong to them, whatever the order of the rows
    bounds = confidence[order][last.clamp(max=len(order) - 1)] - _TIE
    chosen = confidence[order] >= bounds[classes]
    weights = counts.double() / chosen.double().new_zeros(len(counts)).index_add_(0, classes, chosen.double())
    differs = (labels[order] != classes) & chosen
    return float((differs * weights[classes]).sum() / len(labels))
