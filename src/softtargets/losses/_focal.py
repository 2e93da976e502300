"""Cross entropy reweighted by the probability of the label: the focal losses and Poly-1."""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from softtargets._native.labels import OddsLoss
from softtargets._numerics import accumulating, as_like, times
from softtargets.losses._engine.expectation import odds_loss
from softtargets.losses._engine.log_odds import Settings
from softtargets.losses.reduction import Reduction
from softtargets.losses.settings import read_setting
from softtargets.targets import Targets

__all__ = ["focal_loss", "poly1_loss", "sample_dependent_focal_loss"]


def focal_loss(
    logits: Tensor,
    targets: Targets | Tensor,
    *,
    gamma: float | Tensor = 3.0,
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: Tensor | None = None,
    reduction: Reduction = "none",
) -> Tensor:
    """Focal loss: cross entropy scaled by (1 - p_label)^gamma.

    -(1 - p_label)^gamma log p_label        # Lin et al. 2017
    soft targets: sum_k t_k * (loss of label k), the expected loss

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        targets: (...) integer labels, float probabilities of the shape of the logits, or Targets.
        gamma: a number or a (...) float tensor, one per example, at least 0.
        class_dim: the dimension of the classes.
        ignore_index: label of an example to leave out.
        mask: (...) bool, False for an example to leave out.
        reduction: "none", "mean" or "sum"; the mean is over the examples that are not left out.

    Returns:
        (...) float32 or wider, nats, at least 0; () unless reduction is "none". Examples that are left out have loss 0.

    Raises:
        ValueError: if shapes differ, a label is out of range, or gamma is negative.
        TypeError: if logits are not floating-point, or labels not integers.

    Special cases:
        gamma=0 gives cross_entropy; one-hot soft targets give the loss of the label.

    Notes:
        gamma is 2 in Lin et al. (not checked against the paper) and 3 in Mukhoti et al. 2020. Their alpha, a weight per
        class, is left out: weight the examples in :func:`reduce` instead. This is the softmax form; object detectors
        sum a sigmoid form over classes.

    Complexity:
        Labels: two passes over the logits, one of them for the gradient, and no other N x K tensor. Soft targets:
        O(N K) with several tensors of the size of the logits.

    When to use:
        To calibrate confidence, since it reduces the gradient of labels that are already probable, or when easy
        examples outnumber hard ones.

    Limitations:
        Not proper: its minimiser is not the true distribution (Charoenphakdee et al. 2021, not checked against the
        paper). It is usually less confident than the true distribution, but more confident if no class is likely. Wrong
        labels are hard examples and get more weight.

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

    def settings(shape: torch.Size) -> Settings:
        return (read_setting("gamma", gamma, shape),)

    keywords = {"class_dim": class_dim, "ignore_index": ignore_index, "mask": mask, "reduction": reduction}
    return odds_loss(_FOCAL, logits, targets, settings, **keywords)


def sample_dependent_focal_loss(
    logits: Tensor,
    targets: Targets | Tensor,
    *,
    gamma_low: float | Tensor = 5.0,
    gamma_high: float | Tensor = 3.0,
    threshold: float | Tensor = 0.2,
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: Tensor | None = None,
    reduction: Reduction = "none",
) -> Tensor:
    """Sample-dependent focal loss: focal loss with a different gamma for improbable labels.

    -(1 - p_label)^gamma log p_label, with gamma_low if p_label < threshold and gamma_high otherwise
    soft targets: sum_k t_k * (loss of label k), the expected loss

    After Mukhoti et al. 2020. The choice of gamma gets no gradient.

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        targets: (...) integer labels, float probabilities of the shape of the logits, or Targets.
        gamma_low: gamma of labels below the threshold, at least 0; a number or a (...) tensor, one per example.
        gamma_high: gamma of the other labels, likewise.
        threshold: probability that separates the two, in [0, 1], likewise.
        class_dim: the dimension of the classes.
        ignore_index: label of an example to leave out.
        mask: (...) bool, False for an example to leave out.
        reduction: "none", "mean" or "sum"; the mean is over the examples that are not left out.

    Returns:
        (...) float32 or wider, nats, at least 0; () unless reduction is "none". Examples that are left out have loss 0.

    Raises:
        ValueError: if shapes differ, a label is out of range, a gamma is negative, or the threshold is outside [0, 1].
        TypeError: if logits are not floating-point, or labels not integers.

    Special cases:
        threshold=0 gives focal_loss with gamma_high; threshold=1 gives focal_loss with gamma_low.

    Notes:
        "53" in FLSD-53 stands for the two gammas, 5 below and 3 above a probability of 0.2.

    Complexity:
        That of focal_loss.

    When to use:
        Calibration, if one gamma is too small for improbable labels or too large for probable ones.

    Limitations:
        The loss is discontinuous at the threshold, where it increases as the label becomes more probable. The
        limitations of focal_loss apply as well.

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

    def settings(shape: torch.Size) -> Settings:
        low = read_setting("gamma_low", gamma_low, shape)
        high = read_setting("gamma_high", gamma_high, shape)
        bound = read_setting("threshold", threshold, shape, high=1.0)
        like = torch.empty((), dtype=accumulating(logits.dtype), device=logits.device)
        return low, high, torch.logit(as_like(bound, like))

    keywords = {"class_dim": class_dim, "ignore_index": ignore_index, "mask": mask, "reduction": reduction}
    return odds_loss(_FOCAL_OF_TWO_GAMMAS, logits, targets, settings, **keywords)


def poly1_loss(
    logits: Tensor,
    targets: Targets | Tensor,
    *,
    epsilon: float | Tensor = 2.0,
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: Tensor | None = None,
    reduction: Reduction = "none",
) -> Tensor:
    """Poly-1 loss: cross entropy plus epsilon times (1 - p_label).

    -log p_label + epsilon (1 - p_label)        # Leng et al. 2022: changes the first term of sum_j (1 - p_label)^j / j
    soft targets: sum_k t_k * (loss of label k), the expected loss

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        targets: (...) integer labels, float probabilities of the shape of the logits, or Targets.
        epsilon: a number or a (...) float tensor, one per example, at least -1. A value of -1 removes the first term of
            the series.
        class_dim: the dimension of the classes.
        ignore_index: label of an example to leave out.
        mask: (...) bool, False for an example to leave out.
        reduction: "none", "mean" or "sum"; the mean is over the examples that are not left out.

    Returns:
        (...) float32 or wider, at least 0; () unless reduction is "none". Examples that are left out have loss 0.

    Raises:
        ValueError: if shapes differ, a label is out of range, or epsilon is below -1.
        TypeError: if logits are not floating-point, or labels not integers.

    Special cases:
        epsilon=0 gives cross_entropy; the gradient is that of cross_entropy times 1 + epsilon p_label.

    Notes:
        `epsilon` is the paper's epsilon_1, 2 for image classification (not checked against the paper), as in optax;
        PyTorch ports use 1 by default.

    Complexity:
        Labels: two passes over the logits, one of them for the gradient, and no other N x K tensor. Soft targets:
        O(N K) with several tensors of the size of the logits.

    When to use:
        To extend cross entropy by one hyper-parameter. A positive epsilon gives more weight to examples that are
        already predicted well; a negative one gives them less, as the focal loss does.

    Limitations:
        Not proper unless epsilon is 0: its minimiser is not the true distribution. With a positive epsilon the
        minimiser is overconfident.

    Aliases:
        PolyLoss; Poly-1 cross entropy; poly_loss_cross_entropy; poly1_cross_entropy

    References:
        Leng et al. 2022, *PolyLoss: A Polynomial Expansion Perspective of Classification Loss Functions*, ICLR

    Example:
        >>> loss = poly1_loss(torch.zeros(1, 2), torch.tensor([0]), epsilon=2.0)        # log 2 + 2 * 1/2
        >>> round(float(loss), 4)
        1.6931
    """

    def settings(shape: torch.Size) -> Settings:
        return (read_setting("epsilon", epsilon, shape, low=-1.0),)

    keywords = {"class_dim": class_dim, "ignore_index": ignore_index, "mask": mask, "reduction": reduction}
    return odds_loss(_POLY1, logits, targets, settings, **keywords)


def _focal(odds: Tensor, gamma: Tensor) -> Tensor:
    # Through the logarithm of 1 - p_label, the gradient of a power below 1 stays finite where 1 - p_label vanishes.
    return scaled_cross_entropy(odds, gamma * logsigmoid(-odds))


def _sample_dependent_focal(odds: Tensor, gamma_low: Tensor, gamma_high: Tensor, bound: Tensor) -> Tensor:
    return _focal(odds, torch.where(odds < bound, gamma_low, gamma_high))


def _poly1(odds: Tensor, epsilon: Tensor) -> Tensor:
    return -logsigmoid(odds) + times(epsilon, torch.sigmoid(-odds))


_FOCAL = OddsLoss("focal", _focal)
_FOCAL_OF_TWO_GAMMAS = OddsLoss("focal of two gammas", _sample_dependent_focal)
_POLY1 = OddsLoss("wrong", _poly1, lambda epsilon: (1.0, epsilon))


def scaled_cross_entropy(odds: Tensor, log_factor: Tensor) -> Tensor:
    """Multiply cross entropy by a factor; the factor is 1 and constant for a masked label, whose loss is infinite."""
    return -log_factor.exp().masked_fill(odds == -torch.inf, 1.0) * logsigmoid(odds)
