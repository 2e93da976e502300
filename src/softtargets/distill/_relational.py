"""Distillation of how probabilities go together, rather than of their values."""

import torch
from torch import Tensor

from softtargets.distill._inputs import check_temperature, check_weight, counted, pair

__all__ = ["dist_loss"]

# as in the authors' code: keeps the correlation of a constant from being 0 / 0
EPS = 1e-8


def dist_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    *,
    inter_weight: float = 1.0,
    intra_weight: float = 1.0,
    temperature: float = 1.0,
    mask: Tensor | None = None,
) -> Tensor:
    """Match a teacher's correlations, over the classes of an example and over the examples of a class (DIST).

    T^2 * (inter_weight * (1 - r(p_s,i, p_t,i)) + intra_weight * mean_k (1 - r(p_s[:, k], p_t[:, k])))

    r is Pearson's correlation, p the probabilities at T, which is `temperature` (Huang et al. 2022 and their code). The
    second term is one number of the batch, added to every row, so that the mean over rows is the paper's loss.

    Args:
        student_logits: (..., K) float; a class of -inf has probability 0 and counts as any other.
        teacher_logits: (..., K) float, likewise. No gradient goes to them.
        inter_weight: at least 0, of each example's correlation over its classes.
        intra_weight: at least 0, of each class's correlation over the rows, all leading axes as one.
        temperature: T, above 0, on both sides.
        mask: (...) bool, False for rows that do not count: loss 0, gradient 0, whatever their logits; they have no part
            in the classes' correlations.

    Returns:
        (...) float32 or wider, from 0 to 2 T^2 (inter_weight + intra_weight); cross entropy with the labels is not in
        it.

    Raises:
        ValueError: where shapes differ, or the temperature or a weight is out of range.
        TypeError: where logits are not floating-point or the mask not boolean.

    Special cases:
        the teacher's own logits give 0; probabilities that are a positive multiple of the teacher's plus a constant
        give 0 for the inter term.

    Notes:
        their beta and gamma are inter_weight and intra_weight, 1 and 1 in their code, beside cross entropy of weight 1;
        1e-8 is added to the product of the norms, so that a constant row or class, as in a batch of one, has the
        correlation 0. T^2 is theirs.

    Complexity:
        O(N K), six tensors of the size of the logits.

    When to use:
        a teacher much stronger than its student, whose probabilities the student could not match in value.

    Limitations:
        the intra term depends on the batch: small ones, or many classes, make it noise. Correlations alone do not fix
        a confidence, and a student of exactly equal logits (a head that begins at 0) has a gradient near 1e8 times its
        teacher's.

    Example:
        >>> logits = torch.tensor([[2.0, 0.0], [0.0, 2.0]])
        >>> dist_loss(logits, logits).abs().round(decimals=4).tolist(), dist_loss(logits, -logits).tolist()
        ([0.0, 0.0], [4.0, 4.0])
    """
    check_weight("inter_weight", inter_weight)
    check_weight("intra_weight", intra_weight)
    check_temperature("temperature", temperature)
    z, v = pair(student_logits, teacher_logits, mask)
    student, teacher = (z / temperature).softmax(-1), (v / temperature).softmax(-1)
    inter = 1 - _correlation(student, teacher)
    rows = None if mask is None else mask.flatten()
    intra = (1 - _correlation(_columns(student), _columns(teacher), rows)).mean()
    return counted(temperature**2 * (inter_weight * inter + intra_weight * intra), mask)


def _columns(probs: Tensor) -> Tensor:
    return probs.reshape(-1, probs.shape[-1]).T


def _correlation(student: Tensor, teacher: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return Pearson's correlation over the last axis, of the entries where the mask is True."""
    a, b = _centred(student, mask), _centred(teacher, mask)
    norms = torch.linalg.vector_norm(a, dim=-1) * torch.linalg.vector_norm(b, dim=-1)
    return (a * b).sum(-1) / (norms + EPS)


def _centred(values: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return values - values.mean(-1, keepdim=True)
    mean = values.masked_fill(~mask, 0.0).sum(-1, keepdim=True) / mask.sum().clamp(min=1)
    return (values - mean).masked_fill(~mask, 0.0)
