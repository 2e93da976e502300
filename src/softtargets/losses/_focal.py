"""Cross entropy reweighted by the probability of the label: the focal losses and Poly-1."""

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from softtargets._checks import check_fraction, check_not_negative, check_per_example
from softtargets._numerics import as_like, at_least_float32, times
from softtargets.losses._engine.log_odds import apart, label_log_odds
from softtargets.losses.inputs import paired

__all__ = ["dual_focal_loss", "focal_loss", "poly1_loss", "sample_dependent_focal_loss"]


def focal_loss(logits: Tensor, labels: Tensor, *, gamma: float | Tensor = 3.0, class_dim: int = -1) -> Tensor:
    """Focal loss: cross entropy scaled by (1 - p_label)^gamma.

    -(1 - p_label)^gamma log p_label        # Lin et al. 2017

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        labels: (...) int64 in [0, K).
        gamma: a number or a (...) float tensor, one per example, at least 0.
        class_dim: where the classes are.

    Returns:
        (...) float32 or wider, nats, at least 0.

    Raises:
        ValueError: where shapes differ, a label is out of range, or gamma is negative.
        TypeError: where logits are not floating-point or labels not integers.

    Special cases:
        gamma=0 gives cross_entropy.

    Notes:
        gamma is 2 in Lin et al. (from memory) and 3 in Mukhoti et al. 2020. Their alpha, a weight per class, is not
        here: weigh the examples in :func:`reduce`. Ours is softmax's; detection sums sigmoid ones over classes.

    Complexity:
        two passes over the logits, one of them for the gradient; no N x K tensor beside it.

    When to use:
        calibration: it holds back confidence where the label is already probable; easy examples outnumber hard ones.

    Limitations:
        not proper: its minimiser is not the true probabilities (Charoenphakdee et al. 2021, from memory): usually less
        certain, more certain where no class is likely. Wrong labels, being hard, count more.

    Aliases:
        FL

    Topics:
        overconfidence, class imbalance

    References:
        Lin et al. 2017, *Focal Loss for Dense Object Detection*, ICCV; for calibration Mukhoti et al. 2020,
        *Calibrating Deep Neural Networks using Focal Loss*, NeurIPS

    Example:
        >>> loss = focal_loss(torch.zeros(1, 2), torch.tensor([0]), gamma=2.0)        # 1/4 of log 2
        >>> round(float(loss), 4)
        0.1733
    """
    odds = label_log_odds(logits, labels, class_dim=class_dim)
    check_not_negative(gamma=gamma)
    check_per_example("gamma", gamma, odds.shape)
    return _focal(odds, as_like(gamma, odds))


def sample_dependent_focal_loss(
    logits: Tensor,
    labels: Tensor,
    *,
    gamma_low: float = 5.0,
    gamma_high: float = 3.0,
    threshold: float = 0.2,
    class_dim: int = -1,
) -> Tensor:
    """Sample-dependent focal loss: focal loss with a gamma of its own for improbable labels.

    -(1 - p_label)^gamma log p_label, with gamma_low where p_label < threshold and gamma_high elsewhere

    After Mukhoti et al. 2020. The choice of gamma gets no gradient.

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        labels: (...) int64 in [0, K).
        gamma_low: gamma of low probabilities, at least 0.
        gamma_high: gamma of high ones, at least 0.
        threshold: the probability where the one ends and the other begins, in [0, 1].
        class_dim: where the classes are.

    Returns:
        (...) float32 or wider, nats, at least 0.

    Raises:
        ValueError: where shapes differ, a label is out of range, a gamma is negative or the threshold outside [0, 1].
        TypeError: where logits are not floating-point or labels not integers.

    Special cases:
        threshold=0 gives focal with gamma_high; threshold=1 gives focal with gamma_low.

    Notes:
        53 are the two gammas, 5 and 3, either side of 0.2.

    Complexity:
        that of focal.

    When to use:
        calibration, where one gamma is too small for improbable labels or too large for probable ones.

    Limitations:
        the loss jumps at the threshold, upwards as the label becomes more probable; else as focal.

    Aliases:
        FLSD-53

    Topics:
        overconfidence

    References:
        Mukhoti et al. 2020, *Calibrating Deep Neural Networks using Focal Loss*, NeurIPS

    Example:
        >>> loss = sample_dependent_focal_loss(torch.zeros(1, 2), torch.tensor([0]))        # 1/8 of log 2
        >>> round(float(loss), 4)
        0.0866
    """
    check_not_negative(gamma_low=gamma_low, gamma_high=gamma_high)
    check_fraction("threshold", threshold)
    odds = label_log_odds(logits, labels, class_dim=class_dim)
    low = odds < torch.logit(as_like(threshold, odds))
    return _focal(odds, torch.where(low, as_like(gamma_low, odds), as_like(gamma_high, odds)))


def dual_focal_loss(logits: Tensor, labels: Tensor, *, gamma: float | Tensor = 5.0, class_dim: int = -1) -> Tensor:
    """Dual focal loss: focal loss that also widens the gap between the label and the class next below it.

    -(1 - p_label + p_j)^gamma log p_label, with p_j = max{p_k : p_k < p_label}, 0 where no class is below

    After Tao et al. 2023 and their code: a class as probable as the label is not below it, and p_j gets a gradient.

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        labels: (...) int64 in [0, K).
        gamma: a number or a (...) float tensor, one per example, at least 0.
        class_dim: where the classes are.

    Returns:
        (...) float32 or wider, nats, at least 0.

    Raises:
        ValueError: where shapes differ, a label is out of range, or gamma is negative.
        TypeError: where logits are not floating-point or labels not integers.

    Special cases:
        gamma=0 gives cross_entropy; a label below all other classes gives focal.

    Notes:
        gamma is 5 (their code), larger than focal's since the base is larger.

    Complexity:
        O(N K), with some tensors of the size of the logits.

    When to use:
        calibration, where focal loss leaves a model underconfident.

    Limitations:
        the loss jumps where the label overtakes a class, and j is the runner-up only where the prediction is right.

    Aliases:
        DFL

    Topics:
        overconfidence

    References:
        Tao et al. 2023, *Dual Focal Loss for Calibration*, ICML

    Example:
        >>> logits = torch.tensor([[2.0, 1.0, 1.0]]).log()        # (1 - 1/2 + 1/4) log 2
        >>> round(float(dual_focal_loss(logits, torch.tensor([0]), gamma=1.0)), 4)
        0.5199
    """
    logits, labels = paired(logits, labels, class_dim)
    logits = at_least_float32(logits)  # so that the two gradients are added before they are rounded
    odds = label_log_odds(logits, labels)
    check_not_negative(gamma=gamma)
    check_per_example("gamma", gamma, odds.shape)
    label, others = apart(logits, labels)
    below = others.masked_fill(others >= label[..., None], -torch.inf).amax(-1)
    others = others.masked_fill((others == -torch.inf).all(-1, keepdim=True), 0.0)
    share = (below - others.logsumexp(-1)).exp()  # p_j / (1 - p_label)
    return _weighed(odds, as_like(gamma, odds) * (logsigmoid(-odds) + share.log1p()))


def poly1_loss(logits: Tensor, labels: Tensor, *, epsilon: float | Tensor = 2.0, class_dim: int = -1) -> Tensor:
    """Poly-1 loss: cross entropy plus epsilon times the probability that the label does not get.

    -log p_label + epsilon (1 - p_label)        # Leng et al. 2022: the first coefficient of sum_j (1 - p_label)^j / j

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        labels: (...) int64 in [0, K).
        epsilon: a number or a (...) float tensor, one per example, at least -1, where the first term of the series is
            gone.
        class_dim: where the classes are.

    Returns:
        (...) float32 or wider, at least 0.

    Raises:
        ValueError: where shapes differ, a label is out of range, or epsilon is below -1.
        TypeError: where logits are not floating-point or labels not integers.

    Special cases:
        epsilon=0 gives cross_entropy; the gradient is that of cross_entropy times 1 + epsilon p_label.

    Notes:
        their epsilon_1, 2 for image classification (from memory), as in optax; ports to PyTorch have 1 as default.

    Complexity:
        two passes over the logits, one of them for the gradient; no N x K tensor beside it.

    When to use:
        one more number to tune beside cross entropy. Above 0 it counts examples more that are already predicted right,
        below 0 less, as the focal loss does.

    Limitations:
        not proper for epsilon other than 0: its minimiser is not the true probabilities. Above 0 it is more certain
        than they are.

    Aliases:
        PolyLoss, Poly-1 cross entropy

    References:
        Leng et al. 2022, *PolyLoss: A Polynomial Expansion Perspective of Classification Loss Functions*, ICLR

    Example:
        >>> loss = poly1_loss(torch.zeros(1, 2), torch.tensor([0]), epsilon=2.0)        # log 2 + 2 * 1/2
        >>> round(float(loss), 4)
        1.6931
    """
    odds = label_log_odds(logits, labels, class_dim=class_dim)
    check_fraction("epsilon", epsilon, low=-1.0, high=math.inf, remedy="choose -1 or more")
    check_per_example("epsilon", epsilon, odds.shape)
    return -logsigmoid(odds) + times(as_like(epsilon, odds), torch.sigmoid(-odds))


def _focal(odds: Tensor, gamma: Tensor) -> Tensor:
    # Through the logarithm of 1 - p_label, the gradient of a power below 1 stays finite where 1 - p_label vanishes.
    return _weighed(odds, gamma * logsigmoid(-odds))


def _weighed(odds: Tensor, log_factor: Tensor) -> Tensor:
    """Multiply cross entropy with a factor, which is 1 and constant where the label is masked and the loss infinite."""
    return -log_factor.exp().masked_fill(odds == -torch.inf, 1.0) * logsigmoid(odds)
