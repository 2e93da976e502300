"""Parts of other losses: cross entropy whose gradient waits for its weight, and targets of two classes."""

from dataclasses import replace

import torch
from torch import Tensor

from softtargets._checks import check_per_example
from softtargets._numerics import accumulating
from softtargets.losses._cross_entropy import compute_cross_entropy
from softtargets.losses.inputs import paired
from softtargets.losses.reduction import Reduction, reduce, upstream
from softtargets.targets import Targets, hard


def deferred_cross_entropy(logits: Tensor, targets: Targets | Tensor, *, class_dim: int = -1) -> Tensor:
    """Return :func:`cross_entropy` as a term of another loss: its gradient is computed in the backward pass.

    The forward pass of :func:`cross_entropy` computes the gradient of a mean ahead, which a term that is weighted or
    transformed afterwards cannot use.
    """
    return compute_cross_entropy(logits, targets, class_dim=class_dim, ahead=False)


def label_log_prob(logits: Tensor, labels: Tensor, *, class_dim: int = -1) -> Tensor:
    """Return the (...) log-probability of the label, for losses that are a function of it; its gradient is deferred."""
    return -deferred_cross_entropy(logits, labels, class_dim=class_dim)


def reduced_cross_entropy(
    logits: Tensor,
    targets: Targets,
    reduction: Reduction,
    *,
    weight: Tensor | None = None,
    normalizer: float | Tensor | None = None,
    class_dim: int = -1,
) -> Tensor:
    """Return ``reduce(cross_entropy(...), ...)``, whose gradient the forward pass knows, weights and all."""
    like = logits.new_empty((), dtype=accumulating(logits.dtype)).expand(targets.shape)
    expected = upstream(like, reduction, weight=weight, normalizer=normalizer)
    losses = compute_cross_entropy(logits, targets, class_dim=class_dim, expected=expected)
    return reduce(losses, reduction, weight=weight, normalizer=normalizer)


def label_and_largest(
    logits: Tensor, labels: Tensor, on_label: float | Tensor, on_largest: float | Tensor, class_dim: int, *, name: str
) -> Targets:
    """Make targets of two classes, the label and the one that is predicted; `name` is the argument of the weights."""
    moved, labels = paired(logits, labels, class_dim)
    check_per_example(name, on_largest, labels.shape)
    made = hard(labels)
    ones = made.mass()
    index = torch.stack([labels, moved.detach().argmax(-1)], -1)
    return replace(made, index=index, value=torch.stack([on_label * ones, on_largest * ones], -1))
