"""Confidence-regularised sample sieve: the loss and which examples it keeps (CORES)."""

from dataclasses import replace

from torch import Tensor

from softtargets._checks import check_not_negative, check_per_example, check_prior
from softtargets.losses._cross_entropy import cross_entropy
from softtargets.targets import hard

__all__ = ["cores_loss", "cores_sieve"]


def cores_loss(
    logits: Tensor, labels: Tensor, *, weight: float | Tensor, prior: Tensor | None = None, class_dim: int = -1
) -> Tensor:
    """CORES loss: cross entropy minus a multiple of the expected loss under a prior over the labels.

    cross entropy - weight * sum_k prior_k (-log p_k), that is t = onehot(label) - weight * prior, of mass 1 - weight

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        labels: (...) int64 in [0, K), observed.
        weight: their beta, a number or a (...) float tensor, one per example, at least 0; it may exceed 1.
        prior: (K,) probabilities of the observed labels; None: uniform, as in their code.
        class_dim: where the classes are.

    Returns:
        (...) float32 or wider, nats; unbounded below.

    Raises:
        ValueError: where shapes differ, a label is out of range, the weight is negative or the prior no distribution.
        TypeError: where logits are not floating-point or labels not integers.

    Special cases:
        weight=0 gives cross_entropy; a weight of w with the uniform prior is smoothing by -w/(1 - w), times 1 - w.

    Notes:
        their beta rises from 0 to 2 over epochs 10 to 40 (their code); :func:`cores_sieve` picks examples after 30.

    Complexity:
        that of cross_entropy; no N x K target.

    When to use:
        label noise of unknown rate, after a warm-up with cross entropy.

    Limitations:
        bounded, in expectation, only while weight * prior_k is at most the probability of label k, for every class;
        its minimiser, (that probability - weight * prior_k) / (1 - weight), overstates confidence.

    Example:
        >>> loss = cores_loss(torch.tensor([[2.0, 0.0]]), torch.tensor([0]), weight=1.0)
        >>> loss.tolist()        # mean(z) - z_label
        [-1.0]
    """
    check_not_negative(weight=weight)
    made = hard(labels)
    check_per_example("weight", weight, made.shape)
    if prior is not None:
        check_prior("prior", prior)
    made = replace(made, rest=-weight * made.mass(), prior=prior)
    return cross_entropy(logits, made, class_dim=class_dim)


def cores_sieve(logits: Tensor, labels: Tensor, *, class_dim: int = -1) -> Tensor:
    """CORES sieve: keeps the examples whose loss is at most the mean of their losses over all labels.

    -log p_label - mean_k(-log p_k) <= 0        # Cheng et al. 2021: the dynamic sieve

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        labels: (...) int64 in [0, K), observed.
        class_dim: where the classes are.

    Returns:
        (...) bool, True to keep; no gradient.

    Raises:
        ValueError: where shapes differ or a label is out of range.
        TypeError: where logits are not floating-point or labels not integers.

    Special cases:
        uniform logits keep every example; a label that is predicted is kept.

    Notes:
        their v_i = 1; used after epoch 30 (their code). The same as z_label >= mean(z).

    Complexity:
        that of cross_entropy.

    When to use:
        as the weight of ``losses.reduce``, once the model has learned something.

    Limitations:
        the more classes, the milder: a label need only beat the mean logit.

    Example:
        >>> cores_sieve(torch.tensor([[2.0, 0.0, 0.0], [2.0, 0.0, 0.0]]), torch.tensor([0, 1])).tolist()
        [True, False]
    """
    return cores_loss(logits.detach(), labels, weight=1.0, class_dim=class_dim) <= 0
