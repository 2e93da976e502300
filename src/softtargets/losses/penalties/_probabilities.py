"""Penalties on the predicted probabilities, added to a loss."""

import torch
from torch import Tensor

from softtargets._checks import check_floating
from softtargets._errors import fail
from softtargets._numerics import at_least_float32, times
from softtargets.losses.building_blocks import deferred_cross_entropy
from softtargets.losses.inputs import classes_last, paired
from softtargets.targets import Targets

__all__ = ["confidence_penalty", "elr_penalty", "smoothing_regularizer", "zipf_penalty"]


def elr_penalty(logits: Tensor, running_targets: Tensor, *, eps: float = 1e-4) -> Tensor:
    """Early-learning regularization: keeps predictions close to a running mean of the model's own.

    log(1 - <p, running_targets>)

    Args:
        logits: (..., K) float.
        running_targets: (..., K) float, running means of the model's probabilities; no gradient passes through them.
        eps: floor of the difference, where p and the running target agree on one class.

    Returns:
        (...) float32 or wider, nats, at most 0; add it times a weight (3 for CIFAR-10, 7 for CIFAR-100).

    Raises:
        ValueError: where shapes differ.

    Special cases:
        running targets of 0 give 0.

    Notes:
        added times their lambda; ``targets.RunningTargets`` keeps the running targets with their beta.

    Complexity:
        O(N K) time, two tensors of the size of the logits, and one float per class and example of the data set.

    When to use:
        noisy labels and long training: what was learned first, before labels are learned by heart, is held on to.

    Limitations:
        what was believed early is held on to where it was wrong, too; two numbers to tune for each data set.

    Example:
        >>> running = torch.tensor([[0.75, 0.25]])
        >>> round(float(elr_penalty(torch.zeros(1, 2), running)), 4)        # log(1 - 1/2)
        -0.6931
    """
    check_floating("logits", logits)
    if running_targets.shape != logits.shape:
        raise fail("running_targets", f"shape {tuple(logits.shape)}", tuple(running_targets.shape), "align them")
    probs = at_least_float32(logits).softmax(-1)
    agreement = (probs * running_targets.detach().to(probs.dtype)).sum(-1)
    return torch.log((1 - agreement).clamp(min=eps))


def confidence_penalty(logits: Tensor, *, class_dim: int = -1) -> Tensor:
    """Confidence penalty: the negative entropy of the prediction.

    -H(p) = sum_k p_k log p_k        # Pereyra et al. 2017

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        class_dim: where the classes are.

    Returns:
        (...) float32 or wider, nats, from -log K (uniform) to 0 (certain); add it times a weight.

    Raises:
        ValueError: where there are fewer than two classes.
        TypeError: where logits are not floating-point.

    Special cases:
        uniform logits give -log K; a certain prediction gives 0.

    Notes:
        added times their beta, 0.1. KL(p || uniform) = log K - H(p); label smoothing has KL(uniform || p).

    Complexity:
        O(N K) time and memory, two tensors of the size of the logits.

    When to use:
        in label smoothing's place, where classes should not be pushed to equal shares.

    Limitations:
        its gradient fades as the prediction becomes certain, where it is needed; label smoothing's does not.

    Aliases:
        entropy regularisation; CP

    Topics:
        overconfidence

    References:
        Pereyra et al. 2017, *Regularizing Neural Networks by Penalizing Confident Output Distributions*,
        arXiv:1701.06548

    Example:
        >>> round(float(confidence_penalty(torch.zeros(1, 2))), 4)
        -0.6931
    """
    log_probs = at_least_float32(classes_last(logits, class_dim)).log_softmax(-1)
    return times(log_probs.exp(), log_probs).sum(-1)


def zipf_penalty(logits: Tensor, labels: Tensor, *, class_dim: int = -1) -> Tensor:
    """Zipf label smoothing: a penalty that draws the probabilities of the other classes towards Zipf's law.

    KL(1 / rank || p over the non-targets), both with a sum of 1        # Liang et al. 2022

    Ranks are by the non-target logits and get no gradient; a masked class, of logit -inf, has no rank.

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        labels: (...) int64 in [0, K).
        class_dim: where the classes are.

    Returns:
        (...) float32 or wider, nats, at least 0; 0 where no class is left beside the label. Add it times a weight.

    Raises:
        ValueError: where shapes differ, K < 2 or a label is out of range.
        TypeError: where logits are not floating-point or labels not integers.

    Special cases:
        two classes give 0; non-target probabilities proportional to 1 / rank give 0.

    Notes:
        added times their lambda, 0.1, exponent 1. Their code can also rank by a vote of the dense features and leave
        out wrong predictions; ours ranks by the logits, the variant without either.

    Complexity:
        O(N K log K): sorts every row.

    When to use:
        fine-grained classes, where the order of the wrong ones means something.

    Limitations:
        gains are disputed; the label's own logit is left free.

    Aliases:
        Zipf-LS; Zipf's label smoothing

    Topics:
        overconfidence

    References:
        Liang et al. 2022, *Efficient One Pass Self-distillation with Zipf's Label Smoothing*, ECCV

    Example:
        >>> logits = torch.tensor([[5.0, 0.0, 0.0]])      # 2/3 and 1/3 against 1/2 and 1/2
        >>> round(float(zipf_penalty(logits, torch.tensor([0]))), 4)
        0.0566
    """
    logits, labels = paired(logits, labels, class_dim)
    others = at_least_float32(logits).scatter(-1, labels[..., None], -torch.inf)
    ordered = others.sort(-1, descending=True).values[..., :-1]  # the label is last, or as good as any masked class
    ranks = torch.arange(1, ordered.shape[-1] + 1, device=ordered.device)
    masked = ordered == -torch.inf
    weights = ~masked / ranks.to(ordered.dtype)
    weights = weights / weights.sum(-1, keepdim=True).clamp(min=1.0)  # the first rank adds 1
    ordered = ordered.masked_fill(masked.all(-1, keepdim=True), 0.0)
    return -(times(weights, ordered.log_softmax(-1)) + torch.special.entr(weights)).sum(-1)


def smoothing_regularizer(logits: Tensor, *, class_dim: int = -1) -> Tensor:
    """Smoothing regularizer: the sum of the losses of all classes, which label smoothing adds to cross entropy.

    sum_k (-log p_k) = K * logsumexp(z) - sum_k z_k        # Lukasik et al. 2020, Eq. 8

    so that smoothing by r is (1 - r) * (cross entropy + beta * this), with beta = r / ((1 - r) K).

    Args:
        logits: (..., K) float, or with the classes at `class_dim`; classes masked by -inf are left out of sum and K.
        class_dim: where the classes are.

    Returns:
        (...) float32 or wider, nats, at least K log K; add it times a weight.

    Raises:
        ValueError: where there are fewer than two classes.
        TypeError: where logits are not floating-point.

    Special cases:
        uniform logits give K log K, the least there is; (1 - r) (cross entropy + beta * this) is label smoothing.

    Notes:
        their Omega(f), L classes, alpha = r. K (KL(uniform || p) + log K) in other words.

    Complexity:
        three passes over the logits, one to count the classes and one for the gradient; no N x K target.

    When to use:
        to weigh the two parts of label smoothing apart, or to smooth examples without a label.

    Limitations:
        unbounded above: one logit far below the others costs without end. Of a linear model it pulls the classes' rows
        of weights to each other; Thm. 1 has them at zero and nowhere else, but equal rows cost as little.

    Aliases:
        Ω(f)

    Topics:
        overconfidence

    References:
        Lukasik et al. 2020, *Does Label Smoothing Mitigate Label Noise?*, ICML, Eq. 8

    Example:
        >>> round(float(smoothing_regularizer(torch.zeros(1, 4))), 4)        # 4 log 4
        5.5452
    """
    counted = (classes_last(logits, class_dim) != -torch.inf).sum(-1)
    none = counted[..., None][..., :0]
    every = Targets(index=none, value=none.double(), rest=counted.double())
    return deferred_cross_entropy(logits, every, class_dim=class_dim)  # its weight is not known yet
