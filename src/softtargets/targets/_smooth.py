"""Label smoothing, in every convention, of labels and of targets that are already soft."""

import warnings
from dataclasses import replace

import torch
from torch import Tensor

from softtargets._checks import check_fraction, check_per_example, check_prior, values_visible
from softtargets._errors import fail
from softtargets._numerics import scaled
from softtargets.targets._rules import hard
from softtargets.targets._shared import as_wide, column, priors_differ, same_mask
from softtargets.targets._targets import Targets, check_mask
from softtargets.targets.checks import check_spread
from softtargets.targets.conventions import convert_smoothing

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
) -> Targets:
    """Smooth labels, or targets that are already soft.

    t = (1 - r) * target + r * prior        # Szegedy et al. 2016, Sec. 7; r is `smoothing` in the "all" convention

    With a prior, such as the class frequencies, this is unigram smoothing (Pereyra et al. 2017); with r < 0 it is
    negative, or generalised, label smoothing (Wei et al. 2022), which is backward correction under symmetric noise of
    redraw rate -r / (1 - r). Targets of a mass other than 1 keep it: r * mass is spread.

    Args:
        labels_or_targets: (...) int64 labels, or Targets.
        smoothing: a number or a (...) float tensor, one per example; 0 leaves the target, 1 gives the prior. In [0, 1]
            in the stated convention.
        num_classes: K; needed for every convention but "all", unless `valid` says it.
        convention: what `smoothing` means; see :func:`convert_smoothing`.
        prior: (K,) probabilities (Pereyra et al. 2017); None: uniform over the valid classes.
        valid: (K,) or (..., K) bool, the classes that exist, which are those that "others" counts;
            "others-but-padding" needs it, False at the padding class. What targets under another mask had smoothed
            stays where it was.
        allow_negative: permit smoothing < 0 (Wei et al. 2022), whose loss is unbounded below.

    Returns:
        Targets of the same mass.

    Raises:
        ValueError: where smoothing is outside its range or not one per example, or num_classes is needed and missing,
            or a padding class is spoken of and no mask leaves it out, or `valid` does not fit the examples, or leaves
            the prior no mass.
        TypeError: where `valid` is not boolean.

    Special cases:
        smoothing=0 gives hard(labels); smoothing=1 gives the prior.

    Notes:
        Szegedy's epsilon, Müller's alpha; torch's label_smoothing is "all", fairseq's is "others" (see
        :func:`convert_smoothing`). smoothing=0.1 is the usual choice.

    Complexity:
        O(N) on labels and factored targets, no N x K target.

    When to use:
        labels are noisy, or calibration matters and no held-out set allows a temperature.

    Limitations:
        a smoothed teacher distils worse (Müller et al. 2019; Shen et al. 2021 dispute it); many classes or a long tail
        undo the gain (Shen et al. 2021, Sec. 7); a negative one is unbounded below and wants a warm-up.

    Example:
        >>> smooth(torch.tensor([0]), 0.3).to_dense(3).round(decimals=3).tolist()
        [[0.8, 0.1, 0.1]]
    """
    _check_smoothing(smoothing, allow_negative=allow_negative)
    if prior is not None:
        check_prior("prior", prior)
    targets = labels_or_targets if isinstance(labels_or_targets, Targets) else hard(labels_or_targets)
    check_per_example("smoothing", smoothing, targets.shape)
    if valid is not None:
        check_mask(valid, targets.shape)
    before, valid = targets.valid, targets.valid if valid is None else valid
    elsewhere = targets.rest is not None and before is not None and not same_mask(before, valid)
    smoothing = as_wide(smoothing, targets)
    if convention != "all":
        smoothing = _over_all(smoothing, convention, num_classes, valid)
    keep = 1 - smoothing
    if targets.value is None or priors_differ(targets, prior) or elsewhere:
        values = targets.to_dense(num_classes if prior is None else len(prior))
        share = scaled(targets.mass(), smoothing)
        over = Targets(values=values, rest=share, prior=prior, valid=valid, ignored=targets.ignored)
        check_spread(over)
        spread = over.prior_over(values.shape[-1], values.dtype, values.device)
        values = column(keep) * values + share[..., None] * spread
        return Targets(values=values, labels=targets.labels, valid=valid, ignored=targets.ignored)
    rest = scaled(targets._total(), smoothing)
    rest = rest if targets.rest is None else rest + keep * targets.rest
    made = replace(targets, value=scaled(targets.value, column(keep)), rest=rest, prior=prior, valid=valid)
    check_spread(made)
    return made


def _over_all(
    smoothing: float | Tensor, convention: str, num_classes: int | None, valid: Tensor | None
) -> float | Tensor:
    """Convert a smoothing to "all", over the classes that are valid."""
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


def _check_smoothing(smoothing: float | Tensor, *, allow_negative: bool) -> None:
    """Require smoothing in [0, 1], or at most 1 with permission; a negative one is warned about."""
    advice = "choose at most 1" if allow_negative else "choose within it; a negative one needs allow_negative=True"
    check_fraction("smoothing", smoothing, low=-float("inf") if allow_negative else 0.0, remedy=advice)
    if allow_negative and (not isinstance(smoothing, Tensor) or values_visible(smoothing)):
        lowest = float(smoothing.detach().min()) if isinstance(smoothing, Tensor) else smoothing
        if lowest == -float("inf"):
            raise fail("smoothing", "finite", f"{lowest:g}", "choose a finite one")
        if lowest < 0:
            warnings.warn(
                f"smoothing: {lowest:g} is negative, so the loss is unbounded below; warm up with cross entropy",
                stacklevel=3,
            )
