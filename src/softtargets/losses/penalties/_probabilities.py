"""Penalties on the predicted probabilities, added to a loss."""

import torch
from torch import Tensor

from softtargets._checks import check_entries, check_floating, sum_tolerance
from softtargets._errors import fail
from softtargets._numerics import at_least_float32, times
from softtargets.losses.building_blocks import deferred_cross_entropy
from softtargets.losses.inputs import read_labelled
from softtargets.losses.penalties._inputs import read_logits
from softtargets.losses.reduction import Reduction
from softtargets.losses.settings import over_classes, read_setting
from softtargets.targets import Targets

__all__ = ["confidence_penalty", "elr_penalty", "smoothing_regularizer", "zipf_penalty"]


def elr_penalty(
    logits: Tensor,
    running_targets: Tensor,
    *,
    eps: float | Tensor = 1e-4,
    class_dim: int = -1,
    mask: Tensor | None = None,
    reduction: Reduction = "none",
) -> Tensor:
    """Early-learning regularization: keeps predictions close to a running mean of the model's own predictions.

    log(1 - <clamp(p, eps, 1 - eps), running_targets>)        # Liu et al. 2020, as in their code

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        running_targets: float of the shape of the logits: running means of the model's probabilities, at least 0 and
            with a sum of at most 1 over the classes. No gradient passes through them.
        eps: p is clamped to [eps, 1 - eps], with zero gradient outside; in [1e-6, 0.5]. A number or a (...) float
            tensor, one per example.
        class_dim: the dimension of the classes.
        mask: (...) bool, False for an example to leave out.
        reduction: "none", "mean" or "sum"; the mean is over the examples that are not left out.

    Returns:
        (...) float32 or wider, nats, from log(eps) to 0; () unless reduction is "none". Multiply it by a weight (3 for
        CIFAR-10, 7 for CIFAR-100) and add it to a loss.

    Raises:
        ValueError: if shapes differ, running targets are negative or sum to more than 1, or eps is out of range.
        TypeError: if logits or running targets are not floating-point.

    Special cases:
        running targets of 0 give 0; a class of logit -inf has probability 0 and is not clamped.

    Notes:
        The paper multiplies it by lambda. ``targets.RunningTargets`` computes the running targets; its `momentum` is
        the paper's beta. The authors update them with the clamped probabilities divided by their sum, before the loss
        of the same step.

    Complexity:
        O(N K) time, three tensors of the size of the logits, and one float per class and example of the data set.

    When to use:
        Noisy labels and long training: it preserves what was learned first, before labels are memorised.

    Limitations:
        Early predictions are preserved even if they are wrong. Two numbers to tune for each data set.

    Example:
        >>> running = torch.tensor([[0.75, 0.25]])
        >>> round(float(elr_penalty(torch.zeros(1, 2), running)), 4)        # log(1 - 1/2)
        -0.6931
    """
    examples = read_logits(logits, class_dim=class_dim, mask=mask)
    running = _read_running(running_targets, logits, class_dim)
    eps = over_classes(read_setting("eps", eps, examples.logits.shape[:-1], low=1e-6, high=0.5))
    probs = at_least_float32(examples.logits).softmax(-1)
    floor = torch.as_tensor(eps, dtype=probs.dtype, device=probs.device)
    clamped = probs.clamp(min=floor, max=1 - floor).masked_fill(examples.logits == -torch.inf, 0.0)
    if examples.left_out is not None:
        running = running.masked_fill(examples.left_out[..., None], 0.0)
    agreement = (clamped * running.to(probs.dtype)).sum(-1)
    # at most 1 - eps but for the rounding of the sum of the running targets
    agreement = agreement.minimum(1 - (floor[..., 0] if floor.ndim else floor))
    return examples.finish(torch.log1p(-agreement), reduction)


def _read_running(running: Tensor, logits: Tensor, class_dim: int) -> Tensor:
    check_floating("running_targets", running)
    if running.shape != logits.shape:
        remedy = "pass the running targets of the examples of this batch"
        raise fail("running_targets", f"shape {tuple(logits.shape)}, as the logits", tuple(running.shape), remedy)
    running = running.detach().movedim(class_dim, -1)
    remedy = "pass running means of probabilities"
    check_entries("running_targets", running, lambda t: t >= 0, "probabilities of at least 0", remedy)
    limit, sums = 1 + sum_tolerance(running), running.sum(-1, dtype=torch.promote_types(running.dtype, torch.float32))
    check_entries("running_targets", sums, lambda total: total <= limit, "a sum of at most 1 over the classes", remedy)
    return running


def confidence_penalty(
    logits: Tensor, *, class_dim: int = -1, mask: Tensor | None = None, reduction: Reduction = "none"
) -> Tensor:
    """Confidence penalty: the negative entropy of the prediction.

    -H(p) = sum_k p_k log p_k        # Pereyra et al. 2017

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        class_dim: the dimension of the classes.
        mask: (...) bool, False for an example to leave out.
        reduction: "none", "mean" or "sum"; the mean is over the examples that are not left out.

    Returns:
        (...) float32 or wider, nats, from -log K (uniform) to 0 (certain); () unless reduction is "none". Multiply it
        by a weight and add it to a loss.

    Raises:
        ValueError: if there are fewer than two classes.
        TypeError: if logits are not floating-point.

    Special cases:
        uniform logits give -log K; a certain prediction gives 0.

    Notes:
        The paper multiplies it by beta, 0.1. KL(p || uniform) = log K - H(p); label smoothing has KL(uniform || p).

    Complexity:
        O(N K) time and memory, two tensors of the size of the logits.

    When to use:
        As an alternative to label smoothing, if classes should not be pushed to equal probabilities.

    Limitations:
        Its gradient vanishes as the prediction becomes certain, which is where it is needed. The gradient of label
        smoothing does not vanish there.

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
    examples = read_logits(logits, class_dim=class_dim, mask=mask)
    log_probs = at_least_float32(examples.logits).log_softmax(-1)
    return examples.finish(times(log_probs.exp(), log_probs).sum(-1), reduction)


def zipf_penalty(
    logits: Tensor,
    labels: Tensor,
    *,
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: Tensor | None = None,
    reduction: Reduction = "none",
) -> Tensor:
    """Zipf label smoothing: a penalty that pulls the probabilities of the other classes towards Zipf's law.

    KL(1 / rank || p over the other classes), both normalised to a sum of 1        # Liang et al. 2022

    The other classes are ranked by their logits; the ranks get no gradient. A class of logit -inf has no rank.

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        labels: (...) integers in [0, K). Not defined for soft targets.
        class_dim: the dimension of the classes.
        ignore_index: label of an example to leave out.
        mask: (...) bool, False for an example to leave out.
        reduction: "none", "mean" or "sum"; the mean is over the examples that are not left out.

    Returns:
        (...) float32 or wider, nats, at least 0; () unless reduction is "none". 0 if there is no class other than the
        label. Multiply it by a weight and add it to a loss.

    Raises:
        ValueError: if shapes differ, K < 2, or a label is out of range.
        TypeError: if logits are not floating-point, or labels not integers.

    Special cases:
        two classes give 0; probabilities of the other classes proportional to 1 / rank give 0.

    Notes:
        The paper multiplies it by lambda, 0.1, and uses exponent 1. Their code can also rank by a vote of the dense
        features and leave out wrong predictions. This is the variant without either, which ranks by the logits.

    Complexity:
        O(N K log K): sorts every row.

    When to use:
        Fine-grained classes, if the order of the wrong classes is informative.

    Limitations:
        Gains are disputed; the label's own logit is not constrained.

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
    examples = read_labelled(logits, labels, class_dim=class_dim, ignore_index=ignore_index, mask=mask)
    assert examples.labels is not None
    others = at_least_float32(examples.logits).scatter(-1, examples.labels[..., None], -torch.inf)
    ordered = others.sort(-1, descending=True).values[..., :-1]  # the label is last, or as good as any masked class
    ranks = torch.arange(1, ordered.shape[-1] + 1, device=ordered.device)
    masked = ordered == -torch.inf
    weights = ~masked / ranks.to(ordered.dtype)
    weights = weights / weights.sum(-1, keepdim=True).clamp(min=1.0)  # the first rank adds 1
    ordered = ordered.masked_fill(masked.all(-1, keepdim=True), 0.0)
    return examples.finish(-(times(weights, ordered.log_softmax(-1)) + torch.special.entr(weights)).sum(-1), reduction)


def smoothing_regularizer(
    logits: Tensor, *, class_dim: int = -1, mask: Tensor | None = None, reduction: Reduction = "none"
) -> Tensor:
    """Smoothing regularizer: the sum of the losses of all labels, which label smoothing adds to cross entropy.

    sum_k (-log p_k) = K * logsumexp(z) - sum_k z_k        # Lukasik et al. 2020, Eq. 8

    Smoothing by r is (1 - r) * (cross entropy + beta * smoothing_regularizer), with beta = r / ((1 - r) K).

    Args:
        logits: (..., K) float, or with the classes at `class_dim`; classes of logit -inf are left out of the sum
            and of K.
        class_dim: the dimension of the classes.
        mask: (...) bool, False for an example to leave out.
        reduction: "none", "mean" or "sum"; the mean is over the examples that are not left out.

    Returns:
        (...) float32 or wider, nats, at least K log K; () unless reduction is "none". Multiply it by a weight and add
        it to a loss.

    Raises:
        ValueError: if there are fewer than two classes.
        TypeError: if logits are not floating-point.

    Special cases:
        uniform logits give K log K, the minimum; (1 - r) (cross entropy + beta * it) is label smoothing.

    Notes:
        This is Omega(f) in the paper, with L classes and alpha = r. It equals K (KL(uniform || p) + log K).

    Complexity:
        Three passes over the logits, one to count the classes and one for the gradient; no N x K target.

    When to use:
        To weight the two parts of label smoothing separately, or to smooth examples without a label.

    Limitations:
        Unbounded above: it grows with the distance of one logit below the others. In a linear model it pulls the weight
        vectors of the classes towards each other. Thm. 1 of the paper states that zero weights are the only minimum,
        but equal weight vectors are minima too.

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
    examples = read_logits(logits, class_dim=class_dim, mask=mask)
    counted = (examples.logits != -torch.inf).sum(-1)
    none = counted[..., None][..., :0]
    every = Targets(index=none, value=none.double(), rest=counted.double())
    return examples.finish(deferred_cross_entropy(examples.logits, every), reduction)  # its weight is not known yet
