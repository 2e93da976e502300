"""Terms that are added to a loss: of the distances between logits."""

import torch
from torch import Tensor

from softtargets._checks import check_not_negative
from softtargets._numerics import at_least_float32
from softtargets.losses.inputs import classes_last

__all__ = ["acls_penalty", "logit_penalty", "mbls_penalty"]


def logit_penalty(logits: Tensor, *, class_dim: int = -1) -> Tensor:
    """Logit penalty: the sum of the squared logits.

    sum_k z_k^2        # Kornblith et al. 2021, from memory: neither halved nor averaged over classes

    Args:
        logits: (..., K) float, or with the classes at `class_dim`; classes masked by -inf are left out.
        class_dim: where the classes are.

    Returns:
        (...) float32 or wider, at least 0; add it times a weight.

    Raises:
        ValueError: where there are fewer than two classes.
        TypeError: where logits are not floating-point.

    Special cases:
        logits of 0 give 0; logits times c give c^2 as much.

    Notes:
        added times their beta, 6e-4 on ImageNet (from memory). With a half or a mean, weigh by 2 or K instead.

    Complexity:
        O(N K) time, two tensors of the size of the logits.

    When to use:
        to hold logits down whatever the label; also a guard against drift of their common level.

    Limitations:
        the only term here that a shift of all logits changes, though it leaves the probabilities alone. Features
        transfer worse than those of plain cross entropy (Kornblith et al. 2021).

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
    z = at_least_float32(classes_last(logits, class_dim))
    return z.masked_fill(z == -torch.inf, 0.0).square().sum(-1)


def mbls_penalty(logits: Tensor, *, margin: float = 10.0, class_dim: int = -1) -> Tensor:
    """Margin-based label smoothing: a penalty on logits more than a margin below the largest.

    mean_k relu(z_max - z_k - margin)

    Args:
        logits: (..., K) float, or with the classes at `class_dim`; classes masked by -inf are left out of the mean.
        margin: distance, in logits, that costs nothing; at least 0.
        class_dim: where the classes are.

    Returns:
        (...) float32 or wider, at least 0; add it times a weight.

    Raises:
        ValueError: where the margin is negative or there are fewer than two classes.
        TypeError: where logits are not floating-point.

    Special cases:
        logits within the margin give 0; margin=0 gives z_max - mean(z), which is what MaxSup adds to cross entropy.

    Notes:
        added times their alpha, 0.1, with margin 10; the mean is over all K classes, the largest included, as in their
        code.

    Complexity:
        O(N K) time and memory, two tensors of the size of the logits.

    When to use:
        calibration: like label smoothing, but logits that are close enough are left free.

    Limitations:
        does nothing until logits are further apart than the margin: at 10 with ten classes, a confidence of .9996.

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
    check_not_negative(margin=margin)
    below, classes = _below_largest(logits, class_dim)
    return (below - margin).relu().sum(-1) / classes.clamp(min=1)


def acls_penalty(
    logits: Tensor,
    *,
    margin: float = 10.0,
    largest_weight: float = 1.0,
    others_weight: float = 0.1,
    class_dim: int = -1,
) -> Tensor:
    """Adaptive and conditional label smoothing: a penalty on squared distances beyond a margin.

    largest_weight * relu(z_max - z_min - margin)^2 + others_weight * mean_{k != predicted} relu(z_max - z_k - margin)^2

    After Park et al. 2023, in our form, which a shift of the logits leaves alone: their code has relu(z_max - margin)
    in the first term, and stops the gradient of z_max in the second, where ours lets it through.

    Args:
        logits: (..., K) float, or with the classes at `class_dim`; classes masked by -inf are left out.
        margin: distance, in logits, that costs nothing; at least 0.
        largest_weight: weight of the term of the predicted class, at least 0.
        others_weight: weight of the mean over the others, at least 0.
        class_dim: where the classes are.

    Returns:
        (...) float32 or wider, at least 0; add it times a weight.

    Raises:
        ValueError: where the margin or a weight is negative or there are fewer than two classes.
        TypeError: where logits are not floating-point.

    Special cases:
        logits within the margin give 0; weights of 0 give 0.

    Notes:
        largest_weight and others_weight are their lambda_1 and lambda_2, 1 and 0.1; all of it is added times their
        alpha, 0.1.

    Complexity:
        O(N K) time and memory, three tensors of the size of the logits.

    When to use:
        calibration, where the linear penalty of MbLS is too weak on extreme logits.

    Limitations:
        four numbers to tune; quadratic in logits, so one far outlier can rule a batch.

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
    check_not_negative(margin=margin, largest_weight=largest_weight, others_weight=others_weight)
    below, classes = _below_largest(logits, class_dim)
    beyond = (below - margin).relu()
    # the predicted class is 0 below itself and adds nothing to the sum over the others
    others = beyond.square().sum(-1) / (classes - 1).clamp(min=1)
    return largest_weight * beyond.amax(-1).square() + others_weight * others


def _below_largest(logits: Tensor, class_dim: int) -> tuple[Tensor, Tensor]:
    """Return how far each logit lies below the largest, 0 where masked, and how many classes are not masked."""
    z = at_least_float32(classes_last(logits, class_dim))
    masked = z == -torch.inf
    return (z.amax(-1, keepdim=True) - z).masked_fill(masked, 0.0), (~masked).sum(-1)
