"""Binary cross entropy of K independent labels per example."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from softtargets._checks import check_entries, check_fraction, check_mask, check_per_example
from softtargets._errors import fail, fail_type, unknown
from softtargets._numerics import as_like, at_least_float32, times
from softtargets.losses.inputs import LossInputs, check_fit, check_ignore_index, check_order, moved_last
from softtargets.losses.reduction import Reduction, check_reduction
from softtargets.targets import Targets

__all__ = ["binary_cross_entropy"]

CONVENTIONS = ("binary", "all")


def binary_cross_entropy(
    logits: Tensor,
    targets: Targets | Tensor,
    *,
    smoothing: float | Tensor = 0.0,
    convention: Literal["binary", "all"] = "binary",
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: Tensor | None = None,
    reduction: Reduction = "none",
) -> Tensor:
    """Binary cross entropy: K independent sigmoids, summed over the labels of an example.

    -sum_k [t_k log sigmoid(z_k) + (1 - t_k) log sigmoid(-z_k)], with t_k = (1 - r) label_k + r / 2 or r / K

    The sum is minus the log-probability of all K labels together; the mean over labels, which other libraries return,
    is this divided by K. A label whose logit is -inf is masked: it is not smoothed, and if it is 0 it has no loss and
    no gradient.

    Args:
        logits: (..., K) float, or with the labels at `class_dim`; K may be 1.
        targets: of the shape of the logits: bool, int or float in [0, 1], where a fraction is a soft label; or Targets
            of (...), whose weights are the labels.
        smoothing: r in [0, 1], a number or a (...) float tensor with one number per example.
        convention: "binary": smooth every label towards 1/2; "all": towards 1 / K, where K counts the labels that are
            not masked.
        class_dim: the dimension of the labels of an example.
        ignore_index: value of an unknown label, which has no loss and no gradient. An example all of whose labels
            are unknown is left out.
        mask: (...) bool, True for an example to include; None: include all.
        reduction: "none", "mean" or "sum"; the mean is over the examples that are not left out.

    Returns:
        (...) float32 or wider, nats, >= 0, 0 for an example that is left out; () with "mean" or "sum".

    Raises:
        ValueError: if shapes differ, a label is NaN or outside [0, 1] (first bad index named), smoothing is outside
            [0, 1], or the convention or reduction is unknown.
        TypeError: if logits are not a floating-point tensor, or targets are neither a real tensor nor Targets.

    Special cases:
        smoothing=0 gives the loss of the given labels in either convention; smoothing=1 gives the loss of labels of 1/2
        or 1/K.

    Notes:
        torch's binary_cross_entropy_with_logits(reduction="none").sum(-1); its mean is this loss / K. "binary" is the
        smoothing of Keras, "all" that of timm, which keeps the sum of one-hot labels.

    Complexity:
        O(N K) time and memory, several tensors of the size of the logits.

    When to use:
        An example may have several labels or none, or each class is detected independently.

    Limitations:
        If K is large, most labels are 0 and dominate the loss; "binary" smoothing adds labels of r K / 2 in total.

    Aliases:
        BCE; BCEWithLogitsLoss; sigmoid cross entropy; multi-label cross entropy; binary smoothing;
        binary_cross_entropy_with_logits; sigmoid_binary_cross_entropy

    Topics:
        overconfidence

    References:
        the two conventions of Keras (r/2) and timm (r/K)

    Example:
        >>> loss = binary_cross_entropy(torch.zeros(1, 3), torch.tensor([[1, 0, 0]]))
        >>> loss.exp().round(decimals=4).tolist()        # 2^3
        [8.0]
    """
    check_reduction(reduction)
    check_order(logits, targets)
    check_ignore_index(ignore_index)
    moved = moved_last(logits, class_dim)
    shape = tuple(moved.shape[:-1])
    check_fraction("smoothing", smoothing)
    check_per_example("smoothing", smoothing, moved.shape[:-1])
    check_mask(mask, shape)
    if convention not in CONVENTIONS:
        raise unknown("convention", str(convention), CONVENTIONS)
    z = at_least_float32(moved)
    if isinstance(targets, Targets):
        labels, known = _from_targets(targets, z)
        z = z if targets.valid is None else z.masked_fill(~targets.valid, -torch.inf)
    else:
        labels, known = _from_tensor(targets, logits, class_dim, ignore_index, mask)
    if mask is not None:
        known = mask[..., None] if known is None else known & mask[..., None]
    left_out = None
    if known is not None:
        known = known.expand(z.shape)
        left_out = ~known.any(-1)
        z, labels = z.masked_fill(~known, 0.0), labels.masked_fill(~known, 0.0)
    losses = _losses(z, labels.to(z.dtype), smoothing, convention)
    if known is not None:
        losses = losses.masked_fill(~known, 0.0)
    return LossInputs(z, None, None, left_out).finish(losses.sum(-1), reduction)


def _losses(z: Tensor, labels: Tensor, smoothing: float | Tensor, convention: str) -> Tensor:
    """Return the loss of each label, (..., K)."""
    there = z != -torch.inf
    share = 0.5 if convention == "binary" else 1 / there.sum(-1, keepdim=True, dtype=z.dtype).clamp(min=1)
    r = as_like(smoothing, z)[..., None] * there
    smoothed = (1 - r) * labels + r * share
    return -(times(smoothed, logsigmoid(z)) + times(1 - smoothed, logsigmoid(-z)))


def _from_targets(targets: Targets, z: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return the weights of Targets as labels, (..., K), and which examples are not ignored, (..., 1)."""
    check_fit(targets, tuple(z.shape[:-1]), z.shape[-1])
    labels = targets.to_dense(z.shape[-1])
    _check_range(labels, None)
    return labels, None if targets.ignored is None else ~targets.ignored[..., None]


def _from_tensor(
    targets: Tensor, logits: Tensor, class_dim: int, ignore_index: int, mask: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Return labels as (..., K), and which of them are known, or None if all of them may be."""
    if targets.is_complex():
        raise fail_type("targets", "bool, int or float labels", f"dtype {targets.dtype}", "use targets.real")
    if targets.shape != logits.shape:
        required = f"shape {tuple(logits.shape)}, as the logits"
        remedy = "give 0 or 1 for every class, as torch.nn.functional.one_hot does for class numbers"
        raise fail("targets", required, tuple(targets.shape), remedy)
    labels = targets.movedim(class_dim, -1)
    # converted first: in a narrower dtype `ignore_index` would wrap around
    known = (labels if labels.is_floating_point() else labels.long()) != ignore_index
    _check_range(labels, known if mask is None else known & mask[..., None])
    return labels, known


def _check_range(labels: Tensor, known: Tensor | None) -> None:
    """Require labels in [0, 1], except where they are not known."""
    remedy = "fix that label, or set it to ignore_index"
    if known is not None:
        labels = labels.masked_fill(~known, 0)
    check_entries("targets", labels, lambda given: (given >= 0) & (given <= 1), "in [0, 1]", remedy)
