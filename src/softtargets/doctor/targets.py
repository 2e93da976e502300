"""The targets of a criterion and their minimisers, computed by the target rules and losses of this package."""

import warnings

import torch
from torch import Tensor

from softtargets import losses, targets
from softtargets.doctor.criterion import Criterion
from softtargets.targets import Targets

# The weight of an example's own label in the target of mixup or CutMix that is shown.
MIXED = 0.7


def targets_of(criterion: Criterion, labels: Tensor) -> Tensor:
    """Return what the loss computes with, (N, K): smoothed, mixed with no other example, and weighted by class."""
    if criterion.kind == "sigmoid":
        made = _binary_labels(criterion, labels)
    else:
        made = _weighted(criterion, _smoothed(criterion, labels)).to_dense(criterion.num_classes)
    return made if criterion.threshold is None else (made > criterion.threshold).double()


def _binary_labels(c: Criterion, labels: Tensor) -> Tensor:
    """Return what the sigmoid loss compares with: its gradient at logits of 0 is 1/2 minus that."""
    logits = torch.zeros(len(labels), c.num_classes, dtype=torch.float64, requires_grad=True)
    given = labels[:, None] if c.num_classes == 1 else torch.nn.functional.one_hot(labels, c.num_classes)
    convention = "binary" if c.convention == "binary" else "all"
    loss = losses.binary_cross_entropy(logits, given, smoothing=1.0, convention=convention)
    smoothest = 0.5 - torch.autograd.grad(loss.sum(), logits)[0]
    return torch.lerp(given.double(), smoothest, c.smoothing)  # linear in the smoothing, which may be negative


def mixed_targets(criterion: Criterion, label: int, other: int) -> Tensor:
    """Return the target of an example of `label` that was mixed with one of `other`, (K,)."""
    own, theirs = (_smoothed(criterion, torch.tensor([each])) for each in (label, other))
    dense = targets.mix(own, theirs, MIXED).to_dense(criterion.num_classes)[0]
    return dense if criterion.threshold is None else (dense > criterion.threshold).double()


def _smoothed(criterion: Criterion, labels: Tensor) -> Targets:
    size = criterion.num_classes
    if not criterion.smoothing:
        return targets.smooth(labels, torch.zeros(labels.shape, dtype=torch.float64), num_classes=size)
    smoothing = torch.full(labels.shape, criterion.smoothing, dtype=torch.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # negative smoothing is a finding
        return targets.smooth(
            labels,
            smoothing,
            num_classes=size,
            convention=criterion.convention,
            valid=_valid_classes(criterion),
            allow_negative=criterion.smoothing < 0,
        )


def _valid_classes(criterion: Criterion) -> Tensor | None:
    if criterion.padding is None or not criterion.spares_padding:
        return None
    return torch.arange(criterion.num_classes) != criterion.padding


def _weighted(criterion: Criterion, made: Targets) -> Targets:
    if criterion.weight is None:
        return made
    return targets.reweight(made, torch.tensor(criterion.weight, dtype=torch.float64))


def minimiser(criterion: Criterion, target: Tensor) -> Tensor | None:
    """Return the probabilities at which the loss of a target is least, (K,); None: no or any point.

    A probability of 0 or 1 is approached, never reached, by finite logits.
    """
    if criterion.kind == "sigmoid":
        positive = (
            target if criterion.positive_weight is None else target * target.new_tensor(criterion.positive_weight)
        )
        both = positive + 1 - target
        bounded = ((target >= 0) & (target <= 1) & (both > 0)).all()
        return positive / both if bounded else None
    if (target < 0).any() or target.sum() == 0:
        return None
    if not criterion.gamma:
        return target / target.sum()
    return _least_focal(criterion.gamma, target)


def _least_focal(gamma: float, target: Tensor) -> Tensor:
    """Minimise the focal loss of one target; a class of weight 0 gets probability 0."""
    found = torch.zeros_like(target)
    there = target > 0
    if there.sum() == 1:
        return there.to(target.dtype)
    own = target[there] / target.sum()
    logits = own.log().requires_grad_()
    search = torch.optim.LBFGS(
        [logits], max_iter=500, tolerance_grad=1e-12, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        search.zero_grad()
        loss = losses.focal_loss(logits[None], targets.dense(own[None]), gamma=gamma).sum()
        loss.backward()
        return loss

    search.step(closure)
    found[there] = logits.detach().softmax(-1)
    return found
