"""Cross entropy of independent yes-or-no labels."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from softtargets._checks import check_entries, check_floating, check_fraction, check_per_example
from softtargets._errors import fail, fail_type, unknown
from softtargets._numerics import as_like, at_least_float32, times

__all__ = ["binary_cross_entropy"]

CONVENTIONS = ("binary", "all")


def binary_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    *,
    smoothing: float | Tensor = 0.0,
    convention: Literal["binary", "all"] = "binary",
    class_dim: int = -1,
) -> Tensor:
    """Binary cross entropy: K independent sigmoids, summed over the labels of an example.

    -sum_k [t_k log sigmoid(z_k) + (1 - t_k) log sigmoid(-z_k)], with t_k = (1 - r) label_k + r / 2 or r / K

    The sum is minus the log-probability of all K labels together; the mean, which other libraries give, is this divided
    by K. A label whose logit is -inf is masked: it is not smoothed and, being 0, has no loss and no gradient.

    Args:
        logits: (..., K) float, or with the labels at `class_dim`; K may be 1.
        labels: like the logits: bool, int or float in [0, 1], where a fraction is a soft label.
        smoothing: r, a number or a (...) float tensor, one per example, in [0, 1].
        convention: "binary": each label is drawn towards 1/2; "all": towards 1 / K, K being the labels that are not
            masked.
        class_dim: where the labels of an example are.

    Returns:
        (...) float32 or wider, nats, at least 0.

    Raises:
        ValueError: where shapes differ, a label is NaN or outside [0, 1] (first bad index named), smoothing is outside
            [0, 1] or the convention unknown.
        TypeError: where logits are not floating-point or labels not a real tensor.

    Special cases:
        smoothing=0 gives the hard labels' loss in either convention; smoothing=1 gives that of labels of 1/2 or 1/K.

    Notes:
        torch's binary_cross_entropy_with_logits(reduction="none").sum(-1); its mean is ours / K. "binary" is Keras's,
        "all" timm's, for one-hot labels, whose sum it keeps.

    Complexity:
        O(N K) time and memory, some tensors of the size of the logits.

    When to use:
        an example may have several labels or none, or classes are told apart one by one.

    Limitations:
        where K is large most labels are 0 and most of the loss is theirs; "binary" smoothing then adds up to r K / 2
        labels that are not there.

    Aliases:
        BCE; sigmoid cross entropy; multi-label cross entropy; binary smoothing

    Topics:
        overconfidence

    References:
        the two conventions of Keras (r/2) and timm (r/K)

    Example:
        >>> loss = binary_cross_entropy(torch.zeros(1, 3), torch.tensor([[1, 0, 0]]))
        >>> loss.exp().round(decimals=4).tolist()        # 2^3
        [8.0]
    """
    check_floating("logits", logits)
    _check_labels(labels, logits)
    check_fraction("smoothing", smoothing)
    if convention not in CONVENTIONS:
        raise unknown("convention", convention, CONVENTIONS)
    z = at_least_float32(logits.movedim(class_dim, -1))
    check_per_example("smoothing", smoothing, z.shape[:-1])
    there = z != -torch.inf
    share = 0.5 if convention == "binary" else 1 / there.sum(-1, keepdim=True, dtype=z.dtype).clamp(min=1)
    r = as_like(smoothing, z)[..., None] * there
    target = labels.movedim(class_dim, -1).to(z.dtype)
    target = (1 - r) * target + r * share
    return -(times(target, logsigmoid(z)) + times(1 - target, logsigmoid(-z))).sum(-1)


def _check_labels(labels: Tensor, logits: Tensor) -> None:
    if not isinstance(labels, Tensor):
        raise fail_type("labels", "a tensor of labels in [0, 1]", type(labels).__name__, "pass a torch.Tensor")
    if labels.is_complex():
        raise fail_type("labels", "bool, int or float", f"dtype {labels.dtype}", "use its real part")
    if labels.shape != logits.shape:
        required = f"shape {tuple(logits.shape)}, as the logits"
        raise fail("labels", required, tuple(labels.shape), "give 0 or 1 for every class, not the number of one")
    remedy = "fix that label, or drop its example"
    check_entries("labels", labels, lambda given: (given >= 0) & (given <= 1), "in [0, 1]", remedy)
