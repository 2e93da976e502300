"""Helpers that the target rules share: priors and masks that agree, weights per example."""

import torch
from torch import Tensor

from softtargets._checks import values_visible
from softtargets._numerics import at_least_float32
from softtargets.targets._rules import one_hot
from softtargets.targets._targets import Targets
from softtargets.targets.checks import check_targets


def as_targets(
    argument: str, labels: Tensor | Targets, *, ignore_index: int | None, num_classes: int | None = None
) -> Targets:
    """Return integer labels as hard targets, and Targets unchanged."""
    if isinstance(labels, Tensor) and not labels.is_floating_point() and not labels.is_complex():
        return one_hot(argument, labels, ignore_index=ignore_index, num_classes=num_classes)
    check_targets(argument, labels)
    assert isinstance(labels, Targets)
    return labels


def priors_differ(targets: Targets, prior: Tensor | None) -> bool:
    """Return whether the targets spread their smoothing by a different prior."""
    return targets.rest is not None and targets.prior is not prior


def same_mask(a: Tensor | None, b: Tensor | None) -> bool:
    """Return whether two masks are equal; where values cannot be read, whether they are the same tensor."""
    if a is b or a is None or b is None or not values_visible(a, b):
        return a is b
    return a.device == b.device and torch.equal(a, b)


def as_wide(weight: float | Tensor, targets: Targets) -> float | Tensor:
    """Return a weight in the precision of the targets, so that it and its complement sum to 1."""
    if not isinstance(weight, Tensor):
        return weight
    holder = next(tensor for tensor in (targets.value, targets.table, targets.values) if tensor is not None)
    return at_least_float32(weight.to(torch.promote_types(weight.dtype, holder.dtype)))


def column(weight: float | Tensor) -> float | Tensor:
    """Append a dimension to weights per example, so that they broadcast over the classes."""
    return weight[..., None] if isinstance(weight, Tensor) and weight.ndim > 0 else weight
