"""Peer loss: the loss on randomly paired inputs and labels is subtracted."""

import torch
from torch import Tensor

from softtargets._checks import check_floating, read_labels
from softtargets._errors import fail, fail_type
from softtargets._numerics import as_like, rows_of, times
from softtargets.losses._cross_entropy import cross_entropy
from softtargets.losses._engine.expectation import valid_logits
from softtargets.losses.building_blocks import deferred_cross_entropy
from softtargets.losses.inputs import LossInputs, check_fit, read_examples
from softtargets.losses.reduction import Reduction
from softtargets.losses.settings import read_setting
from softtargets.targets import Targets, dense

__all__ = ["peer_loss"]


def peer_loss(
    logits: Tensor,
    targets: Targets | Tensor,
    *,
    weight: float | Tensor = 1.0,
    generator: torch.Generator | None = None,
    pool: tuple[Tensor, Targets | Tensor] | None = None,
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: Tensor | None = None,
    reduction: Reduction = "none",
) -> Tensor:
    """Peer loss: cross entropy minus the cross entropy of randomly paired inputs and labels.

    -log p_i[label_i] + weight * log p_j[label_k]        # Liu & Guo 2020

    j and k are drawn for every i, independently and with replacement. With soft targets both terms are cross
    entropies against the targets of i and of k.

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        targets: (...) observed integer labels, float probabilities of the shape of the logits, or Targets.
        weight: alpha of the paper, a number or a (...) float tensor, one per example, at least 0.
        generator: source of the draws; None: torch's default generator.
        pool: (M, K) logits to draw j from and (L,) labels, (L, K) probabilities or Targets to draw k from; None: the
            examples of the batch that are not left out.
        class_dim: the dimension of the classes of `logits`.
        ignore_index: label of an example to leave out.
        mask: (...) bool, False for an example to leave out.
        reduction: "none", "mean" or "sum"; the mean is over the examples that are not left out.

    Returns:
        (...) float32 or wider, nats, unbounded below; () unless reduction is "none". Examples that are left out have
        loss 0. The gradient reaches p_j as well as p_i. A pair whose loss is infinite, since the drawn label has logit
        -inf for the drawn input, subtracts nothing.

    Raises:
        ValueError: if shapes differ, a label is out of range, the weight is negative, or the pool is empty.
        TypeError: if logits are not floating-point, labels not integers, or the pool is not a pair.

    Special cases:
        weight=0 gives cross_entropy; the expected mean over draws equals cores_loss with the batch's label frequencies
        as the prior.

    Notes:
        j indexes inputs and k labels. The authors draw from the whole training set; this function draws from the batch
        unless a pool is given.

    Complexity:
        Twice the cost of cross_entropy, plus a copy of the drawn logits, N x K.

    When to use:
        Label noise of unknown rate. :func:`cores_loss` is its expectation, without the variance of the draws.

    Limitations:
        Gradients are noisy. It is unbounded below, so that it needs a warm-up with cross entropy and a small weight.

    Aliases:
        peer prediction

    Topics:
        unknown label noise

    References:
        Liu & Guo 2020, *Peer Loss Functions: Learning from Noisy Labels without Knowing Noise Rates*, ICML

    Example:
        >>> peer_loss(torch.zeros(2, 3), torch.tensor([0, 1])).tolist()        # uniform predictions: both terms log 3
        [0.0, 0.0]
    """
    examples = read_examples(logits, targets, class_dim=class_dim, ignore_index=ignore_index, mask=mask)
    shape = examples.logits.shape[:-1]
    weight = read_setting("weight", weight, shape)
    if generator is not None and not isinstance(generator, torch.Generator):
        remedy = "use torch.Generator().manual_seed(0)"
        raise fail_type("generator", "a torch.Generator or None", type(generator).__name__, remedy)
    inputs, answers = _of_batch(examples) if pool is None else _of_pool(pool, examples.logits.shape[-1])
    like = examples.logits[..., 0]
    if not len(inputs):  # a batch in which no example counts
        return examples.finish(cross_entropy(examples.logits, examples.targets), reduction)
    drawn = rows_of(inputs, _draw(len(inputs), like, generator))
    partners = _draw(answers.shape[0], like, generator)
    chosen = rows_of(answers, partners) if isinstance(answers, Tensor) else answers[partners]
    other = deferred_cross_entropy(drawn, chosen)
    other = other.masked_fill(other == torch.inf, 0.0)
    own = cross_entropy(examples.logits, examples.targets)
    return examples.finish(own - times(as_like(weight, other), other), reduction)


def _of_batch(examples: LossInputs) -> tuple[Tensor, Targets | Tensor]:
    """Return the inputs and the answers of the batch to draw from, each in one dimension."""
    logits = valid_logits(examples)
    counted = ... if examples.left_out is None else ~examples.left_out
    if examples.labels is not None:
        return logits[counted].reshape(-1, logits.shape[-1]), examples.labels[counted].reshape(-1)
    if examples.left_out is None:
        every = torch.ones(logits.shape[:-1], dtype=torch.bool, device=logits.device)
        return logits.reshape(-1, logits.shape[-1]), examples.targets[every]
    return logits[counted], examples.targets[counted]


def _of_pool(pool: object, size: int) -> tuple[Tensor, Targets | Tensor]:
    if not isinstance(pool, tuple | list) or len(pool) != 2:
        got = f"{len(pool)} entries" if isinstance(pool, tuple | list) else type(pool).__name__
        raise fail_type("pool", "a pair (logits, labels)", got, "pass pool=(logits, labels)")
    inputs, answers = pool
    check_floating("pool", inputs)
    if not isinstance(answers, Tensor | Targets):
        required, remedy = "labels as a tensor, or Targets", "use torch.as_tensor(labels)"
        raise fail_type("pool", required, type(answers).__name__, remedy)
    length = tuple(answers.shape[:1] if isinstance(answers, Tensor) and answers.is_floating_point() else answers.shape)
    if inputs.ndim != 2 or inputs.shape[1] != size or len(length) != 1 or 0 in (len(inputs), *length):
        got = f"shapes {tuple(inputs.shape)} and {tuple(answers.shape)}"
        raise fail("pool", f"(M, {size}) logits and (L,) labels, not empty", got, "give one row per example")
    if isinstance(answers, Tensor) and not answers.is_floating_point():
        return inputs, read_labels("pool", answers, num_classes=size)[0]
    answers = answers if isinstance(answers, Targets) else dense(answers)
    check_fit(answers, length, size)
    return inputs, answers


def _draw(size: int, like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw row numbers below `size`, of the shape of `like`, on the generator's device: the same draws everywhere."""
    place = like.device if generator is None else generator.device
    return torch.randint(size, like.shape, generator=generator, device=place).to(like.device)
