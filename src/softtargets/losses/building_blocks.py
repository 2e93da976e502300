"""Parts of other losses: cross entropy as a weighted term, its weighted mean, and targets of two classes."""

from dataclasses import replace

import torch
from torch import Tensor

from softtargets._numerics import accumulating
from softtargets.losses._cross_entropy import cross_entropy
from softtargets.losses._dtensor import is_dtensor
from softtargets.losses._engine.cross_entropy import accelerated, can_accelerate, total_or_each, traced_cross_entropy
from softtargets.losses._engine.label_path import of_labels as of_labels
from softtargets.losses._engine.linear_rows import linear_rows as linear_rows
from softtargets.losses._linear import as_autocast as as_autocast
from softtargets.losses._linear import check_layer as check_layer
from softtargets.losses.inputs import LossInputs, read_examples
from softtargets.losses.reduction import Reduction, reduce, upstream
from softtargets.targets import Targets, hard


def deferred_cross_entropy(
    logits: Tensor,
    targets: Targets | Tensor,
    *,
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: Tensor | None = None,
) -> Tensor:
    """Return :func:`cross_entropy` as a term of another loss: its gradient is computed in the backward pass.

    The forward pass of :func:`cross_entropy` computes the gradient of a mean, which is wasted if the losses are
    weighted or transformed afterwards.
    """
    if is_dtensor(logits):
        return cross_entropy(logits, targets, class_dim=class_dim, ignore_index=ignore_index, mask=mask)
    settings = {"class_dim": class_dim, "ignore_index": ignore_index, "mask": mask}
    batch = read_examples(logits, targets, **settings, zero_left_out=False, deferred=True)
    if can_accelerate(batch, logits):
        return accelerated(batch, logits, class_dim, in_forward=False)
    return traced_cross_entropy(batch)


def label_log_prob(logits: Tensor, labels: Tensor, *, class_dim: int = -1) -> Tensor:
    """Return the (...) log-probability of the label, for losses that are a function of it."""
    return -deferred_cross_entropy(logits, labels, class_dim=class_dim)


def reduced_cross_entropy(
    batch: LossInputs,
    logits: Tensor,
    reduction: Reduction,
    *,
    weight: Tensor | None = None,
    normalizer: float | Tensor | None = None,
    class_dim: int = -1,
) -> Tensor:
    """Return ``reduce(cross_entropy(...), ...)``; the forward pass computes its gradient, weights included.

    Args:
        batch: what was read of the logits and the targets.
        logits: the logits that `batch` was read from.
        reduction: as in :func:`reduce`.
        weight: as in :func:`reduce`.
        normalizer: as in :func:`reduce`.
        class_dim: the dimension of the classes.
    """
    if is_dtensor(logits):
        values = cross_entropy(logits, batch.targets, class_dim=class_dim)
    elif weight is None and normalizer is None:
        return total_or_each(batch, logits, class_dim, reduction)
    elif can_accelerate(batch, logits):
        like = logits.new_empty((), dtype=accumulating(logits.dtype)).expand(batch.logits.shape[:-1])
        expected = upstream(like, reduction, weight=weight, normalizer=normalizer)
        values = accelerated(batch, logits, class_dim, expected=expected)
    else:
        values = traced_cross_entropy(batch)
    return reduce(values, reduction, weight=weight, normalizer=normalizer)


def label_and_largest(batch: LossInputs, on_label: float | Tensor, on_largest: float | Tensor) -> Targets:
    """Make targets of two classes from labels: the label and the predicted class, each with its weight."""
    assert batch.labels is not None
    made = hard(batch.labels)
    ones = made.mass()
    index = torch.stack([batch.labels, batch.logits.detach().argmax(-1)], -1)
    return replace(made, index=index, value=torch.stack([on_label * ones, on_largest * ones], -1))
