"""Smoothings that follow the epoch, or how sure a model is of an example."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from softtargets._checks import (
    check_classes_last,
    check_entries,
    check_fraction,
    check_labels,
    sum_tolerance,
    values_visible,
)
from softtargets._errors import fail
from softtargets._numerics import at_least_float32

__all__ = ["LinearSchedule", "smoothing_from_confidence", "smoothing_from_margin"]


@dataclass(frozen=True)
class LinearSchedule:
    """A number that goes linearly from one value to another, told the epoch by whoever asks.

    value = start + (end - start) * clamp((epoch - first_epoch) / (last_epoch - first_epoch), 0, 1)

    It has no state, and so nothing to save. MaxSup goes from 0.1 to 0.2 over the training (Zhou et al. 2025), CORES
    from 0 to 2 over the epochs 10 to 40 (Cheng et al. 2021, their code).

    Args:
        start: value up to `first_epoch`.
        end: value from `last_epoch` on.
        first_epoch: last epoch at `start`.
        last_epoch: first epoch at `end`; equal to `first_epoch` it is a step, taken there.

    Special cases:
        up to first_epoch it is start, from last_epoch on it is end.

    Notes:
        epochs count from 0; a fraction of an epoch is one too, and so are steps if both ends are given in steps.

    Complexity:
        none.

    When to use:
        smoothing or a weight is to grow while training goes on.

    Limitations:
        two more numbers to tune.

    Example:
        >>> ramp = LinearSchedule(0.0, 2.0, first_epoch=10, last_epoch=40)
        >>> [ramp(epoch) for epoch in (0, 10, 25, 40, 100)]
        [0.0, 0.0, 1.0, 2.0, 2.0]
    """

    start: float
    end: float
    first_epoch: float = field(kw_only=True)
    last_epoch: float = field(kw_only=True)

    def __post_init__(self) -> None:
        if not self.last_epoch >= self.first_epoch:
            raise fail("last_epoch", f"at least first_epoch, {self.first_epoch:g}", self.last_epoch, "swap the two")

    def value(self, epoch: float) -> float:
        """Return the value at an epoch, from 0."""
        if epoch >= self.last_epoch:
            return self.end
        if epoch <= self.first_epoch:
            return self.start
        return self.start + (self.end - self.start) * (epoch - self.first_epoch) / (self.last_epoch - self.first_epoch)

    def __call__(self, epoch: float) -> float:
        return self.value(epoch)


def smoothing_from_confidence(probs: Tensor, *, maximum: float, labels: Tensor | None = None) -> Tensor:
    """Smooth an example the more, the surer the model is of it.

    r = maximum * max(0, (confidence - 1/K) / (1 - 1/K)),  confidence = p_label, or max p without labels

    Our reading of smoothing that adapts to confidence; its opposite is ``maximum - r``. No gradient passes through it.

    Args:
        probs: (..., K) float, the model's probabilities.
        maximum: smoothing at a confidence of 1, in [0, 1].
        labels: (...) int64, whose probabilities are the confidence; None: the predicted classes'.

    Returns:
        (...) float32 or wider in [0, maximum], for the `smoothing` of ``smooth``.

    Raises:
        ValueError: where probabilities do not sum to 1, shapes differ, or maximum or a label is out of range.

    Special cases:
        a uniform prediction gives 0; a certain one gives maximum.

    Notes:
        the smoothing is in the "all" convention unless ``smooth`` is told another.

    Complexity:
        one look at (N, K) probabilities that exist already.

    When to use:
        over-confidence is to be held down where it is, and easy examples alone are over-confident.

    Limitations:
        the target moves with the model, so that the minimiser is not known beforehand.

    Example:
        >>> smoothing_from_confidence(torch.tensor([[1.0, 0.0], [0.5, 0.5]]), maximum=0.25).tolist()
        [0.25, 0.0]
    """
    check_classes_last("probs", probs)
    probs = probs.detach()
    check_fraction("maximum", maximum)
    if values_visible(probs):
        tolerance, sums = sum_tolerance(probs), at_least_float32(probs).sum(-1)
        required, remedy = "probabilities that sum to 1", "take logits.softmax(-1)"
        check_entries("probs", sums, lambda total: (total - 1).abs() <= tolerance, required, remedy)
    wide = at_least_float32(probs)
    confidence = wide.amax(-1) if labels is None else _of_labels(wide, labels)
    uniform = 1 / probs.shape[-1]
    return maximum * ((confidence - uniform) / (1 - uniform)).clamp(0, 1)


def smoothing_from_margin(logits: Tensor, *, maximum: float, margin: float, labels: Tensor | None = None) -> Tensor:
    """Smooth an example the more, the further its label's logit is ahead of the next.

    r = maximum * clamp((z_label - max of the other z) / margin, 0, 1);  without labels the predicted class is the label

    Our reading of smoothing that adapts to the margin. No gradient passes through it.

    Args:
        logits: (..., K) float.
        maximum: smoothing from `margin` on, in [0, 1].
        margin: difference of logits, above 0, at which smoothing is largest.
        labels: (...) int64; None: the predicted classes.

    Returns:
        (...) float32 or wider in [0, maximum], for the `smoothing` of ``smooth``.

    Raises:
        ValueError: where shapes differ, or maximum, margin or a label is out of range.

    Special cases:
        a tie, or a label that is behind, gives 0; a lead of `margin` or more gives maximum.

    Notes:
        a margin of 10 is that of margin-based smoothing (Liu et al. 2022), which is a penalty instead.

    Complexity:
        one look at (N, K) logits that exist already.

    When to use:
        logits run away on easy examples; wrong labels, which the model is behind on, stay unsmoothed.

    Limitations:
        the target moves with the model, and the margin has the scale of the logits.

    Example:
        >>> smoothing_from_margin(torch.tensor([[8.0, 3.0], [1.0, 1.0]]), maximum=0.2, margin=10.0).tolist()
        [0.10000000149011612, 0.0]
    """
    check_classes_last("logits", logits)
    logits = logits.detach()
    check_fraction("maximum", maximum)
    if not margin > 0:
        raise fail("margin", "above 0", margin, "10 is usual")
    z = at_least_float32(logits)
    if labels is None:
        first, second = z.topk(2, dim=-1).values.unbind(-1)
        lead = first - second
    else:
        own = _of_labels(z, labels)
        lead = own - z.scatter(-1, labels.long()[..., None], -torch.inf).amax(-1)
    return maximum * (lead / margin).clamp(0, 1)


def _of_labels(scores: Tensor, labels: Tensor) -> Tensor:
    check_labels("labels", labels, scores.shape[-1], scores.shape[:-1])
    return scores.gather(-1, labels.long()[..., None])[..., 0]
