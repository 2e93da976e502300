"""Peer loss: the loss on randomly paired inputs and labels is subtracted."""

import torch
from torch import Tensor

from softtargets._checks import check_labels, check_not_negative, check_per_example
from softtargets._errors import fail
from softtargets._numerics import as_like, rows_of, times
from softtargets.losses._cross_entropy import cross_entropy
from softtargets.losses.building_blocks import label_log_prob
from softtargets.losses.inputs import paired

__all__ = ["peer_loss"]


def peer_loss(
    logits: Tensor,
    labels: Tensor,
    *,
    weight: float | Tensor = 1.0,
    generator: torch.Generator | None = None,
    pool: tuple[Tensor, Tensor] | None = None,
    class_dim: int = -1,
) -> Tensor:
    """Peer loss: subtracts the loss on randomly paired inputs and labels.

    -log p_i[label_i] + weight * log p_j[label_k]        j and k drawn anew for every i, independently, with replacement

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        labels: (...) int64 in [0, K), observed.
        weight: their alpha, a number or a (...) float tensor, one per example, at least 0.
        generator: source of the draws; None: torch's own.
        pool: (M, K) logits to draw j from and (L,) labels to draw k from; None: those of the batch.
        class_dim: where the classes of `logits` are.

    Returns:
        (...) float32 or wider, nats; unbounded below. The gradient reaches p_j as well as p_i.

    Raises:
        ValueError: where shapes differ, a label is out of range, the weight is negative or the pool empty.
        TypeError: where logits are not floating-point or labels not integers.

    Special cases:
        weight=0 gives cross_entropy; the expected mean over draws is that of cores with the batch's label frequencies.

    Notes:
        their alpha; j indexes inputs and k labels. Theirs draws from the whole training set, ours from the batch
        unless a pool is given.

    Complexity:
        twice cross_entropy and a copy of the drawn logits, N x K.

    When to use:
        label noise of unknown rate. :func:`cores_loss` is its expectation, without the variance of the draws.

    Limitations:
        noisy gradients; unbounded below, so it needs a warm-up with cross entropy and a small weight.

    Aliases:
        peer prediction

    Topics:
        unknown label noise

    References:
        Liu & Guo 2020, *Peer Loss Functions: Learning from Noisy Labels without Knowing Noise Rates*, ICML

    Example:
        >>> peer_loss(torch.zeros(2, 3), torch.tensor([0, 1])).tolist()        # nothing learned, nothing lost
        [0.0, 0.0]
    """
    check_not_negative(weight=weight)
    logits, labels = paired(logits, labels, class_dim)
    check_per_example("weight", weight, labels.shape)
    size = logits.shape[-1]
    inputs, answers = (logits.reshape(-1, size), labels.reshape(-1)) if pool is None else pool
    if pool is not None:
        check_labels("pool", answers, size)
        if inputs.ndim != 2 or inputs.shape[1] != size or answers.ndim != 1 or 0 in (len(inputs), len(answers)):
            got = f"shapes {tuple(inputs.shape)} and {tuple(answers.shape)}"
            raise fail("pool", f"(M, {size}) logits and (L,) labels, not empty", got, "give one row per example")
    drawn = rows_of(inputs, _draw(len(inputs), labels, generator))
    other = -label_log_prob(drawn, rows_of(answers, _draw(len(answers), labels, generator)))
    return cross_entropy(logits, labels) - times(as_like(weight, other), other)


def _draw(size: int, like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw rows below `size`, of the shape of `like`; on the generator's device, so that all devices draw alike."""
    place = like.device if generator is None else generator.device
    return torch.randint(max(1, size), like.shape, generator=generator, device=place).to(like.device)
