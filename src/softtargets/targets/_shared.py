"""What the rules have in common: labels to be ignored, weights per example, priors and masks that agree."""

import torch
from torch import Tensor

from softtargets._checks import values_visible
from softtargets._numerics import at_least_float32
from softtargets.targets._targets import Targets


def priors_differ(targets: Targets, prior: Tensor | None) -> bool:
    """Say whether the targets spread their rest by another prior."""
    return targets.rest is not None and targets.prior is not prior


def same_mask(a: Tensor | None, b: Tensor | None) -> bool:
    """Say whether two masks are one, as far as their values may be looked at."""
    if a is b or a is None or b is None or not values_visible(a, b):
        return a is b
    return a.device == b.device and torch.equal(a, b)


def apart_from_ignored(labels: Tensor, ignore_index: int | None) -> tuple[Tensor, Tensor | None]:
    """Return the labels, 0 where they are to be ignored, and where that is; None where it is seen to be nowhere."""
    if ignore_index is None or not isinstance(labels, Tensor):
        return labels, None
    ignored = labels == ignore_index
    if values_visible(labels) and labels.device.type == "cpu" and not bool(ignored.any()):
        return labels, None
    return torch.where(ignored, torch.zeros_like(labels), labels), ignored


def as_wide(weight: float | Tensor, targets: Targets) -> float | Tensor:
    """Return a weight in the precision of the targets, so that it and what it leaves sum to 1."""
    if not isinstance(weight, Tensor):
        return weight
    holder = next(tensor for tensor in (targets.value, targets.table, targets.values) if tensor is not None)
    return at_least_float32(weight.to(torch.promote_types(weight.dtype, holder.dtype)))


def column(weight: float | Tensor) -> float | Tensor:
    """Give a weight per example a place to broadcast over the classes."""
    return weight[..., None] if isinstance(weight, Tensor) and weight.ndim > 0 else weight
