"""Distillation of correlations between probabilities, rather than of their values (DIST)."""

import torch
from torch import Tensor

from softtargets.distill._inputs import check_temperature, check_weight, read_pair
from softtargets.losses.reduction import Reduction

__all__ = ["dist_loss"]

# as in the authors' code: makes the correlation of a constant 0 instead of 0 / 0
EPS = 1e-8


def dist_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    *,
    inter_weight: float = 1.0,
    intra_weight: float = 1.0,
    temperature: float = 1.0,
    class_dim: int = -1,
    mask: Tensor | None = None,
    reduction: Reduction = "none",
) -> Tensor:
    """Match a teacher's correlations: over the classes of each example, and over the examples of each class (DIST).

    T^2 * (inter_weight * (1 - r(p_s,i, p_t,i)) + intra_weight * mean_k (1 - r(p_s[:, k], p_t[:, k])))

    r is Pearson's correlation and p the probabilities at T, which is `temperature` (Huang et al. 2022 and their code).
    The second term is one number for the batch and is added to every example, so that the mean over examples is the
    paper's loss.

    Args:
        student_logits: (..., K) float; a class of -inf has probability 0 and counts like any other.
        teacher_logits: (..., K) float, likewise. No gradient flows to them.
        inter_weight: weight of each example's correlation over the classes, at least 0.
        intra_weight: weight of each class's correlation over all examples of the batch, at least 0.
        temperature: T, above 0, on both sides.
        class_dim: dimension of the classes in the logits.
        mask: (...) bool, False for examples to leave out; their logits may have any value, and they do not enter the
            correlations over examples.
        reduction: "none", "mean" over the examples that are not left out, or "sum".

    Returns:
        (...) float32 or wider, from 0 to 2 T^2 (inter_weight + intra_weight), one value per example, 0 for examples
        that are left out; or () if reduced. Cross entropy with the labels is not included.

    Raises:
        ValueError: if shapes differ, or the temperature or a weight is out of range.
        TypeError: if logits are not floating-point tensors or the mask is not boolean.

    Special cases:
        the teacher's own logits give 0; probabilities that are a positive multiple of the teacher's plus a constant
        give 0 for the inter term.

    Notes:
        beta and gamma of the paper are `inter_weight` and `intra_weight`. 1, 1, T = 1 and the factor T^2 are those of
        the authors' code, which adds cross entropy. 1e-8 is added to the product of the norms, so that a constant
        example or class has correlation 0, as in a batch of one.

    Complexity:
        O(N K), six tensors of the size of the logits.

    When to use:
        The teacher is much stronger than the student, which could not match its probabilities.

    Limitations:
        The intra term depends on the batch and is noisy for small batches or many classes. Correlations do not
        determine the confidence. For a student with exactly equal logits (an output layer initialised at 0) the
        gradient is scaled by about 1e8.

    Aliases:
        DIST

    Example:
        >>> logits = torch.tensor([[2.0, 0.0], [0.0, 2.0]])
        >>> dist_loss(logits, logits).abs().round(decimals=4).tolist(), dist_loss(logits, -logits).tolist()
        ([0.0, 0.0], [4.0, 4.0])
    """
    inter_weight = check_weight("inter_weight", inter_weight)
    intra_weight = check_weight("intra_weight", intra_weight)
    temperature = check_temperature("temperature", temperature)
    pair = read_pair(student_logits, teacher_logits, class_dim=class_dim, mask=mask)
    student = (pair.student / temperature).softmax(-1)
    teacher = (pair.teacher_logits / temperature).softmax(-1)
    inter = 1 - _correlation(student, teacher)
    rows = None if mask is None else mask.flatten()
    intra = (1 - _correlation(_columns(student), _columns(teacher), rows)).mean()
    return pair.finish(temperature**2 * (inter_weight * inter + intra_weight * intra), reduction)


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
