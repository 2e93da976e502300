"""Penalties on the distances between logits, added to a loss."""

import torch
from torch import Tensor

from softtargets._numerics import at_least_float32
from softtargets.losses.penalties._inputs import read_logits
from softtargets.losses.reduction import Reduction
from softtargets.losses.settings import over_classes, read_setting

__all__ = ["acls_penalty", "logit_penalty", "mbls_penalty"]


def logit_penalty(
    logits: Tensor, *, class_dim: int = -1, mask: Tensor | None = None, reduction: Reduction = "none"
) -> Tensor:
    """Logit penalty: the sum of the squared logits.

    sum_k z_k^2        # Kornblith et al. 2021, not checked against the paper: neither halved nor averaged over classes

    Args:
        logits: (..., K) float, or with the classes at `class_dim`; classes of logit -inf are left out.
        class_dim: the dimension of the classes.
        mask: (...) bool, False for an example to leave out.
        reduction: "none", "mean" or "sum"; the mean is over the examples that are not left out.

    Returns:
        (...) float32 or wider, at least 0; () unless reduction is "none". Multiply it by a weight and add it to a loss.

    Raises:
        ValueError: if there are fewer than two classes.
        TypeError: if logits are not floating-point.

    Special cases:
        logits of 0 give 0; multiplying the logits by c multiplies it by c^2.

    Notes:
        The paper multiplies it by beta, 6e-4 on ImageNet (not checked against the paper). For implementations with a
        factor 1/2 or a mean over classes, multiply the weight by 2 or by K.

    Complexity:
        O(N K) time, two tensors of the size of the logits.

    When to use:
        To keep the logits of all classes small. It also prevents a common drift of all logits.

    Limitations:
        The only penalty here that depends on a common shift of the logits, which does not change the probabilities.
        Features transfer worse than those of plain cross entropy (Kornblith et al. 2021).

    Aliases:
        logit norm penalty

    Topics:
        overconfidence

    References:
        Dauphin & Cubuk 2021, *Deconstructing the Regularization of BatchNorm*, ICLR; compared in Kornblith et al. 2021,
        *Why Do Better Loss Functions Lead to Less Transferable Features?*, NeurIPS

    Example:
        >>> logit_penalty(torch.tensor([[1.0, -2.0]])).tolist()
        [5.0]
    """
    examples = read_logits(logits, class_dim=class_dim, mask=mask)
    z = at_least_float32(examples.logits)
    return examples.finish(z.masked_fill(z == -torch.inf, 0.0).square().sum(-1), reduction)


def mbls_penalty(
    logits: Tensor,
    *,
    margin: float | Tensor = 10.0,
    class_dim: int = -1,
    mask: Tensor | None = None,
    reduction: Reduction = "none",
) -> Tensor:
    """Margin-based label smoothing: a penalty on logits more than a margin below the largest.

    mean_k relu(z_max - z_k - margin)        # Liu et al. 2022

    Args:
        logits: (..., K) float, or with the classes at `class_dim`; classes of logit -inf are left out of the mean.
        margin: distance between logits that is not penalised, at least 0; a number or a (...) float tensor, one per
            example.
        class_dim: the dimension of the classes.
        mask: (...) bool, False for an example to leave out.
        reduction: "none", "mean" or "sum"; the mean is over the examples that are not left out.

    Returns:
        (...) float32 or wider, at least 0; () unless reduction is "none". Multiply it by a weight and add it to a loss.

    Raises:
        ValueError: if the margin is negative, or there are fewer than two classes.
        TypeError: if logits are not floating-point.

    Special cases:
        logits within the margin give 0; margin=0 gives z_max - mean(z), which is what MaxSup adds to cross entropy.

    Notes:
        The paper multiplies it by alpha, 0.1, and uses margin 10. The mean is over all K classes, the largest included,
        as in their code.

    Complexity:
        O(N K) time and memory, two tensors of the size of the logits.

    When to use:
        Calibration: it acts like label smoothing, but not on logits that are within the margin.

    Limitations:
        It is 0 until logits differ by more than the margin: for a margin of 10 and ten classes, up to a confidence of
        .9996.

    Aliases:
        MbLS

    Topics:
        overconfidence

    References:
        Liu et al. 2022, *The Devil Is in the Margin: Margin-based Label Smoothing for Network Calibration*, CVPR

    Example:
        >>> round(float(mbls_penalty(torch.tensor([[12.0, 0.0, 0.0]]))), 4)        # 2/3 of 2
        1.3333
    """
    examples = read_logits(logits, class_dim=class_dim, mask=mask)
    margin = over_classes(read_setting("margin", margin, examples.logits.shape[:-1]))
    below, classes = _below_largest(examples.logits)
    return examples.finish((below - margin).relu().sum(-1) / classes.clamp(min=1), reduction)


def acls_penalty(
    logits: Tensor,
    *,
    margin: float | Tensor = 10.0,
    largest_weight: float | Tensor = 1.0,
    others_weight: float | Tensor = 0.1,
    class_dim: int = -1,
    mask: Tensor | None = None,
    reduction: Reduction = "none",
) -> Tensor:
    """Adaptive and conditional label smoothing: a penalty on squared distances beyond a margin.

    largest_weight * relu(z_max - z_min - margin)^2 + others_weight * mean_{k != predicted} relu(z_max - z_k - margin)^2

    After Park et al. 2023, with two deviations from their code. Its first term is relu(z_max - margin)^2, which depends
    on a common shift of the logits. It also stops the gradient of z_max in the second term, which is kept here.

    Args:
        logits: (..., K) float, or with the classes at `class_dim`; classes of logit -inf are left out.
        margin: distance between logits that is not penalised, at least 0; a number or a (...) float tensor, one per
            example.
        largest_weight: weight of the term of the predicted class, at least 0, likewise.
        others_weight: weight of the mean over the other classes, at least 0, likewise.
        class_dim: the dimension of the classes.
        mask: (...) bool, False for an example to leave out.
        reduction: "none", "mean" or "sum"; the mean is over the examples that are not left out.

    Returns:
        (...) float32 or wider, at least 0; () unless reduction is "none". Multiply it by a weight and add it to a loss.

    Raises:
        ValueError: if the margin or a weight is negative, or there are fewer than two classes.
        TypeError: if logits are not floating-point.

    Special cases:
        logits within the margin give 0; weights of 0 give 0.

    Notes:
        `largest_weight` and `others_weight` are lambda_1 and lambda_2 of the paper, 1 and 0.1. The paper multiplies the
        sum by alpha, 0.1.

    Complexity:
        O(N K) time and memory, three tensors of the size of the logits.

    When to use:
        Calibration, if the linear penalty of MbLS is too weak on extreme logits.

    Limitations:
        Four numbers to tune. It is quadratic in the logits, so that one outlier can dominate a batch.

    Aliases:
        ACLS

    Topics:
        overconfidence

    References:
        Park et al. 2023, *ACLS: Adaptive and Conditional Label Smoothing for Network Calibration*, ICCV

    Example:
        >>> logits = torch.tensor([[12.0, 0.0, 0.0]])        # 2^2 and, of both others, 2^2
        >>> round(float(acls_penalty(logits)), 4)
        4.4
    """
    examples = read_logits(logits, class_dim=class_dim, mask=mask)
    shape = examples.logits.shape[:-1]
    margin = over_classes(read_setting("margin", margin, shape))
    on_largest = read_setting("largest_weight", largest_weight, shape)
    on_others = read_setting("others_weight", others_weight, shape)
    below, classes = _below_largest(examples.logits)
    beyond = (below - margin).relu()
    # the predicted class is 0 below itself and adds nothing to the sum over the others
    others = beyond.square().sum(-1) / (classes - 1).clamp(min=1)
    return examples.finish(on_largest * beyond.amax(-1).square() + on_others * others, reduction)


def _below_largest(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return how far each logit lies below the largest, 0 where masked, and how many classes are not masked."""
    z = at_least_float32(logits)
    masked = z == -torch.inf
    return (z.amax(-1, keepdim=True) - z).masked_fill(masked, 0.0), (~masked).sum(-1)
