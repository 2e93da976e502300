"""Label smoothing of labels and of targets that are already soft, in every convention."""

import warnings
from dataclasses import replace

import torch
from torch import Tensor

from softtargets._checks import check_num_classes, check_prior, read_labels, values_visible
from softtargets._errors import fail
from softtargets._numerics import scaled
from softtargets.targets._shared import as_targets, as_wide, column, priors_differ, same_mask
from softtargets.targets._targets import Targets, check_mask
from softtargets.targets.checks import check_spread, check_tensor, per_example
from softtargets.targets.conventions import check_convention, convert_smoothing

__all__ = ["smooth"]


def smooth(
    labels_or_targets: Tensor | Targets,
    smoothing: float | Tensor,
    *,
    num_classes: int | None = None,
    convention: str = "all",
    prior: Tensor | None = None,
    valid: Tensor | None = None,
    allow_negative: bool = False,
    ignore_index: int | None = -100,
) -> Targets:
    """Smooth labels, or targets that are already soft.

    t = (1 - r) * target + r * prior        # Szegedy et al. 2016, Sec. 7; r is `smoothing` in the "all" convention

    With a prior such as the class frequencies this is unigram smoothing (Pereyra et al. 2017). With r < 0 it is
    negative, or generalised, label smoothing (Wei et al. 2022), which equals backward correction under symmetric noise
    of redraw rate -r / (1 - r). Targets with a mass other than 1 keep it: the mass r * mass is distributed by the
    prior.

    Args:
        labels_or_targets: (...) integer labels, or Targets.
        smoothing: a number, or a (...) float tensor with one number per example. 0 leaves the target unchanged, 1 gives
            the prior. In [0, 1] in the stated convention.
        num_classes: K. Required by every convention but "all", unless it follows from `valid` or the targets. If given,
            the targets record it, and logits with another number of classes are refused.
        convention: what `smoothing` means; see :func:`convert_smoothing`.
        prior: (K,) float, probabilities (Pereyra et al. 2017); None: uniform over the valid classes.
        valid: (K,) or (..., K) bool, True for classes that exist. Only those are smoothed over, and only those count as
            "others". Required by "others-but-padding", with False at the padding class. Mass that was
            already smoothed under a different mask stays where it is.
        allow_negative: permit smoothing < 0 (Wei et al. 2022); the loss is then unbounded below.
        ignore_index: label of an example to leave out; None: no label is ignored. Targets mark ignored examples in
            ``Targets.ignored``.

    Returns:
        Targets of the same mass.

    Raises:
        ValueError: if smoothing is out of range or not one per example, K is required and missing or differs from that
            of the targets, a label is out of range, "others-but-padding" is used without a mask that excludes the
            padding class, or `valid` does not fit the examples or leaves the prior without mass.
        TypeError: if labels are not integers, or `valid` is not boolean.

    Special cases:
        smoothing=0 gives hard(labels); smoothing=1 gives the prior.

    Notes:
        Szegedy's epsilon, Müller's alpha. torch's label_smoothing is "all", fairseq's is "others" (see
        :func:`convert_smoothing`). 0.1 is the usual value.

    Complexity:
        O(N) for labels and factored targets; no N x K tensor is built.

    When to use:
        Labels are noisy, or calibration matters and no held-out set is available for temperature scaling.

    Limitations:
        A model trained with smoothing is a worse teacher (Müller et al. 2019; disputed by Shen et al. 2021). Many
        classes or a long tail remove the gain (Shen et al. 2021, Sec. 7). Negative smoothing is unbounded below and
        needs a warm-up.

    Aliases:
        label smoothing; smooth_labels

    Example:
        >>> smooth(torch.tensor([0]), 0.3).to_dense(3).round(decimals=3).tolist()
        [[0.8, 0.1, 0.1]]
    """
    if num_classes is not None:
        check_num_classes(num_classes)
    check_convention(convention)
    if prior is not None:
        check_tensor("prior", prior, "a floating-point tensor")
        check_prior("prior", prior)
    plain = prior is None and valid is None and convention == "all"
    if plain and type(smoothing) is float and isinstance(labels_or_targets, Tensor):
        made = as_targets("labels_or_targets", labels_or_targets, ignore_index=ignore_index, num_classes=num_classes)
        _checked(smoothing, made.shape, allow_negative=allow_negative)
        return _smoothed(made, smoothing, num_classes)
    targets = as_targets("labels_or_targets", labels_or_targets, ignore_index=ignore_index, num_classes=num_classes)
    targets = _sized(targets, num_classes)
    smoothing = _checked(smoothing, targets.shape, allow_negative=allow_negative)
    if valid is not None:
        check_mask(valid, targets.shape)
    before, valid = targets.valid, targets.valid if valid is None else valid
    elsewhere = targets.rest is not None and before is not None and not same_mask(before, valid)
    smoothing = as_wide(smoothing, targets)
    if convention != "all":
        smoothing = _over_all(smoothing, convention, targets.num_classes, valid)
    keep = 1 - smoothing
    if targets.value is None or priors_differ(targets, prior) or elsewhere:
        values = targets.to_dense(num_classes if prior is None else len(prior))
        share = scaled(targets.mass(), smoothing)
        over = Targets(values=values, rest=share, prior=prior, valid=valid, ignored=targets.ignored)
        check_spread(over)
        spread = over.prior_over(values.shape[-1], values.dtype, values.device)
        values = column(keep) * values + share[..., None] * spread
        return replace(
            over, values=values, rest=None, prior=None, labels=targets.labels, temperature=targets.temperature
        )
    rest = scaled(targets._total(), smoothing)
    rest = rest if targets.rest is None else rest + keep * targets.rest
    made = replace(targets, value=scaled(targets.value, column(keep)), rest=rest, prior=prior, valid=valid)
    check_spread(made)
    return made


def _smoothed(made: Targets, smoothing: float, num_classes: int | None) -> Targets:
    """Smooth one-hot targets uniformly by one number. The general code gives the same targets, more slowly."""
    assert made.value is not None
    settings = {"dtype": made.value.dtype, "device": made.value.device}
    value = torch.full((), 1 - smoothing, **settings).expand(made.value.shape)
    rest = torch.full((), smoothing, **settings).expand(made.shape)
    return Targets(index=made.index, value=value, rest=rest, labels=made.labels, ignored=made.ignored, size=num_classes)


def _sized(targets: Targets, num_classes: int | None) -> Targets:
    """Record the number of classes in targets that lack it, and check their labels against it."""
    if num_classes is None or targets.size == num_classes:
        return targets
    known = targets.num_classes
    if known is not None and known != num_classes:
        raise fail("num_classes", f"{known}, the number of classes of the targets", num_classes, "leave it out")
    if targets.index is not None:
        read_labels("labels_or_targets", targets.index, num_classes=num_classes)
    return replace(targets, size=num_classes)


def _over_all(
    smoothing: float | Tensor, convention: str, num_classes: int | None, valid: Tensor | None
) -> float | Tensor:
    """Convert a smoothing to the convention "all", over the valid classes."""
    if convention == "others-but-padding" and (valid is None or (values_visible(valid) and bool(valid.all()))):
        required = "a mask that leaves the padding class out, for convention 'others-but-padding'"
        raise fail("valid", required, valid if valid is None else "all True", "pass valid=, False at that class")
    if valid is not None and convention.startswith("others"):
        size = valid.sum(-1, dtype=torch.float32 if valid.device.type == "mps" else torch.float64)
        return smoothing * size / (size - 1).clamp(min=1)
    if num_classes is None and valid is not None:
        num_classes = valid.shape[-1]
    if num_classes is None:
        raise fail("num_classes", f"a number for convention '{convention}'", None, "pass num_classes=")
    return convert_smoothing(smoothing, num_classes=num_classes, source=convention, target="all")


def _checked(smoothing: float | Tensor, shape: torch.Size, *, allow_negative: bool) -> float | Tensor:
    """Require smoothing in [0, 1], or at most 1 if it may be negative; warn about negative smoothing."""
    advice = (
        "choose at most 1" if allow_negative else "choose a value between 0 and 1; below 0 needs allow_negative=True"
    )
    low = -float("inf") if allow_negative else 0.0
    smoothing = per_example("smoothing", smoothing, shape, low=low, remedy=advice)
    if allow_negative and (not isinstance(smoothing, Tensor) or (smoothing.numel() and values_visible(smoothing))):
        lowest = float(smoothing.detach().min()) if isinstance(smoothing, Tensor) else smoothing
        if lowest == -float("inf"):
            raise fail("smoothing", "finite", f"{lowest:g}", "choose a finite value")
        if lowest < 0:
            warnings.warn(
                f"smoothing: {lowest:g} is negative, so the loss is unbounded below; warm up with cross entropy",
                stacklevel=3,
            )
    return smoothing
