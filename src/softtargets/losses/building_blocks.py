"""Cross entropy as a part of other losses: its gradient is computed once the upstream gradient is known."""

from torch import Tensor

from softtargets._numerics import accumulating
from softtargets.losses._cross_entropy import compute_cross_entropy
from softtargets.losses.reduction import Reduction, reduce, upstream
from softtargets.targets import Targets


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
