"""Losses that are a choice of the target: of the label, of the model's own prediction, of a prior."""

import math
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from softtargets._checks import check_fraction, check_labels, check_per_example, check_prior
from softtargets._errors import fail, unknown
from softtargets._numerics import as_like, rows_of, times
from softtargets.losses._cross_entropy import _cross_entropy, cross_entropy, label_log_prob
from softtargets.losses._inputs import paired
from softtargets.losses._penalties import confidence_penalty
from softtargets.targets import Targets, hard

KINDS = ("soft", "hard")


def max_suppression(logits: Tensor, labels: Tensor, *, smoothing: float | Tensor = 0.1, class_dim: int = -1) -> Tensor:
    """Smooth by taking from the largest logit rather than from the label's (MaxSup; Zhou et al. 2025).

    cross entropy + smoothing * (z_max - mean(z)), that is t = onehot(label) + r/K - r * onehot(argmax z)

    One value per example; the argmax gets no gradient.

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        labels: (...) int64 in [0, K).
        smoothing: r, a number or a (...) float tensor, one per example, in [0, 1].
        class_dim: where the classes are.

    Returns:
        (...) float32 or wider, nats, at least 0.

    Raises:
        ValueError: where shapes differ, a label is out of range, or smoothing is outside [0, 1].
        TypeError: where logits are not floating-point or labels not integers.

    Limits:
        smoothing=0 gives cross_entropy; where the prediction is right it is label smoothing.

    Conventions:
        their alpha, in the "all" convention, which they raise from 0.1 to 0.2 over training. Other libraries return
        the batch's mean on every row.

    Cost:
        that of cross_entropy and an argmax; no N x K target.

    When:
        label smoothing helps but holds on to wrong predictions: there smoothing pushes the label down, this the error.

    Against:
        where two classes tie for the largest it has a kink, and its minimiser can lie on one. The evidence is its
        authors' own.

    Example:
        >>> loss = max_suppression(torch.tensor([[0.0, 3.0, 0.0]]), torch.tensor([0]), smoothing=0.5)
        >>> cross = cross_entropy(torch.tensor([[0.0, 3.0, 0.0]]), torch.tensor([0]))
        >>> round(float(loss - cross), 4)        # (3 - 1) / 2
        1.0
    """
    check_fraction("smoothing", smoothing)
    made = _label_and_largest(logits, labels, 1.0, -smoothing, class_dim, name="smoothing")
    made = replace(made, rest=smoothing * torch.ones_like(made.mass()))
    return cross_entropy(logits, made, class_dim=class_dim)


def cores(
    logits: Tensor, labels: Tensor, *, weight: float | Tensor, prior: Tensor | None = None, class_dim: int = -1
) -> Tensor:
    """Reward confidence by taking a share of every class from the target (CORES; Cheng et al. 2021).

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

    Limits:
        weight=0 gives cross_entropy; a weight of w with the uniform prior is smoothing by -w/(1 - w), times 1 - w.

    Conventions:
        their beta rises from 0 to 2 over epochs 10 to 40 (their code); :func:`cores_sieve` picks examples after 30.

    Cost:
        that of cross_entropy; no N x K target.

    When:
        label noise of unknown rate, after a warm-up with cross entropy.

    Against:
        bounded, in expectation, only while weight * prior_k is at most the probability of label k, for every class;
        its minimiser, (that probability - weight * prior_k) / (1 - weight), overstates confidence.

    Example:
        >>> loss = cores(torch.tensor([[2.0, 0.0]]), torch.tensor([0]), weight=1.0)
        >>> loss.tolist()        # mean(z) - z_label
        [-1.0]
    """
    check_fraction("weight", weight, high=math.inf, remedy="choose 0 or more")
    made = hard(labels)
    check_per_example("weight", weight, made.shape)
    if prior is not None:
        check_prior("prior", prior)
    made = replace(made, rest=-weight * made.mass(), prior=prior)
    return cross_entropy(logits, made, class_dim=class_dim)


def cores_sieve(logits: Tensor, labels: Tensor, *, class_dim: int = -1) -> Tensor:
    """Say which examples to keep: those whose loss is at most the mean of their losses over all labels.

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

    Limits:
        uniform logits keep every example; a label that is predicted is kept.

    Conventions:
        their v_i = 1; used after epoch 30 (their code). The same as z_label >= mean(z).

    Cost:
        that of cross_entropy.

    When:
        as the weight of ``losses.reduce``, once the model has learned something.

    Against:
        the more classes, the milder: a label need only beat the mean logit.

    Example:
        >>> cores_sieve(torch.tensor([[2.0, 0.0, 0.0], [2.0, 0.0, 0.0]]), torch.tensor([0, 1])).tolist()
        [True, False]
    """
    return cores(logits.detach(), labels, weight=1.0, class_dim=class_dim) <= 0


def peer(
    logits: Tensor,
    labels: Tensor,
    *,
    weight: float | Tensor = 1.0,
    generator: torch.Generator | None = None,
    pool: tuple[Tensor, Tensor] | None = None,
    class_dim: int = -1,
) -> Tensor:
    """Punish agreement with labels at random (peer loss; Liu & Guo 2020).

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

    Limits:
        weight=0 gives cross_entropy; the expected mean over draws is that of cores with the batch's label frequencies.

    Conventions:
        their alpha; j indexes inputs and k labels. Theirs draws from the whole training set, ours from the batch
        unless a pool is given.

    Cost:
        twice cross_entropy and a copy of the drawn logits, N x K.

    When:
        label noise of unknown rate. :func:`cores` is its expectation, without the variance of the draws.

    Against:
        noisy gradients; unbounded below, so it needs a warm-up with cross entropy and a small weight.

    Example:
        >>> peer(torch.zeros(2, 3), torch.tensor([0, 1])).tolist()        # nothing learned, nothing lost
        [0.0, 0.0]
    """
    check_fraction("weight", weight, high=math.inf, remedy="choose 0 or more")
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


def bootstrapped_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    *,
    weight: float | Tensor = 0.95,
    kind: Literal["soft", "hard"] = "soft",
    detach: bool = False,
    class_dim: int = -1,
) -> Tensor:
    """Trust the label in part, and for the rest what the model believes (Reed et al. 2015).

    soft:  t = weight * onehot(label) + (1 - weight) * p
    hard:  t = weight * onehot(label) + (1 - weight) * onehot(argmax z)

    The soft loss is weight * cross entropy + (1 - weight) * H(p), and has that gradient. With ``detach=True`` the p of
    the target is a constant and the gradient is p - t = weight * (p - onehot(label)): that of cross entropy, times
    `weight`.

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        labels: (...) int64 in [0, K); where the weight is 0 any class will do.
        weight: their beta, a number or a (...) float tensor, one per example, in [0, 1]; 0 on examples without a
            label, which then learn from the model's own prediction, a pseudo-label.
        kind: "soft" or "hard".
        detach: stop the gradient through the p of the target; matters for "soft" only.
        class_dim: where the classes are.

    Returns:
        (...) float32 or wider, nats, at least 0.

    Raises:
        ValueError: where shapes differ, a label is out of range, a weight outside [0, 1] or the kind another.
        TypeError: where logits are not floating-point or labels not integers.

    Limits:
        weight=1 gives cross_entropy; a detached soft target gives weight times the gradient of cross_entropy.

    Conventions:
        their beta: 0.95 soft, 0.8 hard. Soft is cross entropy with minimum entropy, as the paper says (from memory);
        ports disagree on whether the target is detached.

    Cost:
        soft: cross_entropy and two tensors of the size of the logits; hard: cross_entropy and an argmax.

    When:
        mild label noise; with weight 0 on unlabelled examples, semi-supervised learning.

    Against:
        the model confirms its own errors; the entropy term draws predictions to certainty. Detached and soft, it is
        cross entropy at another learning rate.

    Example:
        >>> logits = torch.tensor([[0.0, 2.0]])
        >>> loss = bootstrapped_cross_entropy(logits, torch.tensor([0]), weight=0.0, kind="hard")
        >>> torch.equal(loss, cross_entropy(logits, torch.tensor([1])))        # the pseudo-label
        True
    """
    if kind not in KINDS:
        raise unknown("kind", kind, KINDS)
    check_fraction("weight", weight)
    if kind == "hard":
        made = _label_and_largest(logits, labels, weight, 1 - weight, class_dim, name="weight")
        return cross_entropy(logits, made, class_dim=class_dim)
    own = _cross_entropy(logits, hard(labels), class_dim=class_dim, ahead=False)
    check_per_example("weight", weight, own.shape)
    weight = as_like(weight, own)
    entropy = -confidence_penalty(logits, class_dim=class_dim)
    return times(weight, own) + (1 - weight) * (entropy.detach() if detach else entropy)


def _label_and_largest(
    logits: Tensor, labels: Tensor, on_label: float | Tensor, on_largest: float | Tensor, class_dim: int, *, name: str
) -> Targets:
    """Make targets of two classes, the label and the one that is predicted; `name` is the argument of the weights."""
    moved, labels = paired(logits, labels, class_dim)
    check_per_example(name, on_largest, labels.shape)
    made = hard(labels)
    ones = made.mass()
    index = torch.stack([labels, moved.detach().argmax(-1)], -1)
    return replace(made, index=index, value=torch.stack([on_label * ones, on_largest * ones], -1))


def _draw(size: int, like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw rows below `size`, of the shape of `like`; on the generator's device, so that all devices draw alike."""
    place = like.device if generator is None else generator.device
    return torch.randint(max(1, size), like.shape, generator=generator, device=place).to(like.device)
