"""Smoothing that depends on the training progress, or on how confident a model is in an example."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from softtargets._checks import check_entries, read_labels, sum_tolerance, values_visible
from softtargets._errors import fail, unknown
from softtargets._numerics import at_least_float32
from softtargets.targets.checks import classes_last, number, per_example, positive

__all__ = ["LinearSchedule", "SigmoidSchedule", "smoothing_from_confidence", "smoothing_from_margin"]

UNITS = ("epochs", "fraction")


@dataclass(frozen=True)
class _Schedule(ABC):
    """A number that changes from one value to another; the arguments are those of :class:`LinearSchedule`."""

    start: float
    end: float
    begin: float
    until: float
    unit: Literal["epochs", "fraction"] = field(default="epochs", kw_only=True)

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise unknown("unit", self.unit, UNITS)
        for name in ("start", "end", "begin", "until"):
            value = number(name, getattr(self, name), "a finite number", "pass a float")
            if not math.isfinite(value):
                raise fail(name, "a finite number", f"{value:g}", "pass a finite number")
            object.__setattr__(self, name, value)
        self._check_time("begin", self.begin)
        self._check_time("until", self.until)
        if self.until < self.begin:
            raise fail("until", f"at least begin, {self.begin:g}", f"{self.until:g}", "swap begin and until")

    def __call__(self, now: float) -> float:
        """Return the value at an epoch, or at a fraction of the training, as `unit` says."""
        now = number("now", now, "a number", f"pass the current time in {self.unit}")
        if math.isnan(now):
            raise fail("now", "a number", "nan", f"pass the current time in {self.unit}")
        self._check_time("now", now)
        if now >= self.until:
            return self.end
        if now <= self.begin:
            return self.start
        return self.start + (self.end - self.start) * self._share((now - self.begin) / (self.until - self.begin))

    @abstractmethod
    def _share(self, done: float) -> float:
        """Return the share of the change that is made when this share of the time has passed, both in (0, 1)."""

    def _check_time(self, argument: str, value: float) -> None:
        if self.unit == "fraction" and not 0 <= value <= 1:
            remedy = "divide the epoch by the number of epochs, or set unit='epochs'"
            raise fail(argument, "a fraction of the training, in [0, 1]", f"{value:g}", remedy)


@dataclass(frozen=True)
class LinearSchedule(_Schedule):
    """Change a number linearly from one value to another during training.

    value = start + (end - start) * clamp((now - begin) / (until - begin), 0, 1)

    The schedule has no state: call it with the current epoch, or with the fraction of training that is done. MaxSup
    raises its smoothing from 0.1 to 0.2 over the whole training (Zhou et al. 2025). The code of CORES raises its weight
    from 0 at epoch 10 to 2 at epoch 39 (Cheng et al. 2021).

    Args:
        start: value up to `begin`.
        end: value from `until` on.
        begin: when the change begins, in `unit`.
        until: when the change is complete, in `unit`; at least `begin`. If both are equal, the value jumps there.
        unit: "epochs": `begin`, `until` and the argument of the call are epochs, counted from 0 and possibly
            fractional. "fraction": they are fractions of the training, in [0, 1].

    Raises:
        ValueError: if `until` is before `begin`, a number is not finite, `unit` is unknown, or with unit="fraction" a
            time is outside [0, 1].
        TypeError: if an argument is not a number.

    Special cases:
        before `begin` the value is `start`; after `until` it is `end`.

    Notes:
        Any unit of time works with unit="epochs", such as optimizer steps, if it is used throughout.

    Complexity:
        O(1).

    When to use:
        Smoothing or a loss weight should grow during training.

    Limitations:
        Adds two hyper-parameters.

    Example:
        >>> schedule = LinearSchedule(0.0, 2.0, begin=10, until=40)
        >>> [schedule(epoch) for epoch in (0, 10, 25, 40, 100)]
        [0.0, 0.0, 1.0, 2.0, 2.0]
        >>> LinearSchedule(0.1, 0.2, begin=0.0, until=1.0, unit="fraction")(0.0)
        0.1
    """

    def _share(self, done: float) -> float:
        return done


@dataclass(frozen=True)
class SigmoidSchedule(_Schedule):
    """Change a number from one value to another during training, slowly at first: the ramp-up of Laine & Aila 2017.

    value = start + (end - start) * exp(-5 (1 - s)^2),  s = (now - begin) / (until - begin)

    The usual ramp-up of the weight of a consistency loss: mean teacher (Tarvainen & Valpola 2017) has it too.

    Args:
        start: value up to `begin`.
        end: value from `until` on.
        begin: when the change begins, in `unit`.
        until: when the change is complete, in `unit`; at least `begin`. If both are equal, the value jumps there.
        unit: "epochs" or "fraction", as in :class:`LinearSchedule`.

    Raises:
        ValueError: as :class:`LinearSchedule`.
        TypeError: if an argument is not a number.

    Special cases:
        up to `begin` the value is `start`; from `until` on it is `end`. Just after `begin`, exp(-5) = 0.7 % of the
        change is made.

    Complexity:
        O(1).

    When to use:
        The weight of unlabelled examples should stay small until predictions are useful.

    Limitations:
        Adds two hyper-parameters.

    Example:
        >>> schedule = SigmoidSchedule(0.0, 1.0, begin=0, until=80)
        >>> [round(schedule(epoch), 3) for epoch in (0, 40, 80)]
        [0.0, 0.287, 1.0]
    """

    def _share(self, done: float) -> float:
        return math.exp(-5 * (1 - done) ** 2)


def smoothing_from_confidence(
    probs: Tensor,
    *,
    maximum: float | Tensor,
    labels: Tensor | None = None,
    class_dim: int = -1,
    ignore_index: int | None = -100,
) -> Tensor:
    """Smooth an example more, the more confident the model is.

    r = maximum * max(0, (confidence - 1/K) / (1 - 1/K)),  confidence = p_label, or max p without labels

    Our formulation of confidence-adaptive smoothing; for the opposite use ``maximum - r``. No gradient passes through.

    Args:
        probs: (..., K) float, the model's probabilities.
        maximum: smoothing at confidence 1: a number, or a (...) tensor with one number per example, in [0, 1].
        labels: (...) integers in [0, K), whose probabilities are the confidence; None: the predicted classes.
        class_dim: dimension of the classes in `probs`.
        ignore_index: label of an example to leave out, whose smoothing is 0; None: no label is ignored.

    Returns:
        (...) float32 or wider in [0, maximum], for the `smoothing` of ``smooth``.

    Raises:
        ValueError: if probabilities do not sum to 1, shapes differ, or maximum or a label is out of range.
        TypeError: if probs are not floating-point or labels not integers.

    Special cases:
        a uniform prediction gives 0; confidence 1 gives maximum.

    Notes:
        The smoothing is in the "all" convention unless ``smooth`` is called with another.

    Complexity:
        One pass over the (N, K) probabilities.

    When to use:
        Overconfidence should be reduced only on easy examples, where the model is overconfident.

    Limitations:
        The target moves with the model, so that the minimiser is not known in advance.

    Example:
        >>> smoothing_from_confidence(torch.tensor([[1.0, 0.0], [0.5, 0.5]]), maximum=0.25).tolist()
        [0.25, 0.0]
    """
    probs = classes_last("probs", probs, class_dim).detach()
    maximum = per_example("maximum", maximum, probs.shape[:-1])
    wide = at_least_float32(probs)
    if values_visible(probs):
        tolerance = sum_tolerance(probs)
        required, remedy = "probabilities that sum to 1", "use logits.softmax(-1)"
        check_entries("probs", wide.sum(-1), lambda total: (total - 1).abs() <= tolerance, required, remedy)
    uniform = 1 / probs.shape[-1]
    if labels is None:
        return maximum * ((wide.amax(-1) - uniform) / (1 - uniform)).clamp(0, 1)
    labels, ignored = _read(labels, wide, ignore_index)
    confidence = wide.gather(-1, labels[..., None])[..., 0]
    found = maximum * ((confidence - uniform) / (1 - uniform)).clamp(0, 1)
    return found if ignored is None else found.masked_fill(ignored, 0.0)


def smoothing_from_margin(
    logits: Tensor,
    *,
    maximum: float | Tensor,
    margin: float,
    labels: Tensor | None = None,
    class_dim: int = -1,
    ignore_index: int | None = -100,
) -> Tensor:
    """Smooth an example more, the further its label's logit is above the others.

    r = maximum * clamp((z_label - max of the other z) / margin, 0, 1);  without labels the predicted class is the label

    Our formulation of margin-adaptive smoothing. No gradient passes through.

    Args:
        logits: (..., K) float.
        maximum: smoothing at a lead of `margin` or more: a number, or a (...) tensor with one number per example, in
            [0, 1].
        margin: lead of the logit at which smoothing is largest, above 0.
        labels: (...) integers in [0, K); None: the predicted classes.
        class_dim: dimension of the classes in `logits`.
        ignore_index: label of an example to leave out, whose smoothing is 0; None: no label is ignored.

    Returns:
        (...) float32 or wider in [0, maximum], for the `smoothing` of ``smooth``.

    Raises:
        ValueError: if shapes differ, or maximum, margin or a label is out of range.
        TypeError: if logits are not floating-point or labels not integers.

    Special cases:
        a tie, or a label whose logit is not the largest, gives 0; a lead of `margin` or more gives maximum.

    Notes:
        A margin of 10 is the default of margin-based label smoothing (Liu et al. 2022), which is a penalty instead.

    Complexity:
        One pass over the (N, K) logits.

    When to use:
        Logits grow without bound on easy examples. Wrong labels, which the model does not predict, stay unsmoothed.

    Limitations:
        The target moves with the model, and the margin depends on the scale of the logits.

    Example:
        >>> smoothing_from_margin(torch.tensor([[8.0, 3.0], [1.0, 1.0]]), maximum=0.2, margin=10.0).tolist()
        [0.10000000149011612, 0.0]
    """
    z = at_least_float32(classes_last("logits", logits, class_dim).detach())
    maximum = per_example("maximum", maximum, z.shape[:-1])
    margin = positive("margin", margin, "10 is usual")
    if labels is None:
        first, second = z.topk(2, dim=-1).values.unbind(-1)
        return maximum * ((first - second) / margin).clamp(0, 1)
    labels, ignored = _read(labels, z, ignore_index)
    lead = z.gather(-1, labels[..., None])[..., 0] - z.scatter(-1, labels[..., None], -torch.inf).amax(-1)
    found = maximum * (lead / margin).clamp(0, 1)
    return found if ignored is None else found.masked_fill(ignored, 0.0)


def _read(labels: Tensor, scores: Tensor, ignore_index: int | None) -> tuple[Tensor, Tensor | None]:
    shape, size = tuple(scores.shape[:-1]), scores.shape[-1]
    return read_labels("labels", labels, num_classes=size, shape=shape, ignore_index=ignore_index)
