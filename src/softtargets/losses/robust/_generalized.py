"""Generalized cross entropy, and mean absolute error, its special case q=1."""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from softtargets._native.labels import OddsLoss
from softtargets._numerics import times
from softtargets.losses._engine.expectation import odds_loss
from softtargets.losses._engine.log_odds import Settings
from softtargets.losses.reduction import Reduction
from softtargets.losses.settings import read_setting
from softtargets.targets import Targets

__all__ = ["generalized_cross_entropy", "mean_absolute_error"]


def generalized_cross_entropy(
    logits: Tensor,
    targets: Targets | Tensor,
    *,
    q: float | Tensor = 0.7,
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: Tensor | None = None,
    reduction: Reduction = "none",
) -> Tensor:
    """Generalized cross entropy: the L_q loss, between cross entropy (q=0) and mean absolute error (q=1).

    (1 - p_label^q) / q        # Zhang & Sabuncu 2018
    soft targets: sum_k t_k * (loss of label k), the expected loss

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        targets: (...) integer labels, float probabilities of the shape of the logits, or Targets.
        q: a number or a (...) float tensor, one per example, in [0, 1]. A learnable tensor gets no gradient at 0.
        class_dim: the dimension of the classes.
        ignore_index: label of an example to leave out.
        mask: (...) bool, False for an example to leave out.
        reduction: "none", "mean" or "sum"; the mean is over the examples that are not left out.

    Returns:
        (...) float32 or wider, from 0 to 1 / q; () unless reduction is "none". Examples that are left out have loss 0.

    Raises:
        ValueError: if shapes differ, a label is out of range, or q is outside [0, 1].
        TypeError: if logits are not floating-point, or labels not integers.

    Special cases:
        q=0 gives cross_entropy; q=1 gives mean_absolute_error.

    Notes:
        The default q of 0.7 is the paper's. Its truncated variant, which is constant below a probability k, is not
        implemented.

    Complexity:
        Labels: two passes over the logits, one of them for the gradient, and no other N x K tensor. Soft targets:
        O(N K) with several tensors of the size of the logits.

    When to use:
        Wrong labels at an unknown rate. The gradient of an example is that of cross entropy times p_label^q.

    Limitations:
        As q approaches 1 it learns slowly and underfits data with many classes (Zhang & Sabuncu 2018). Hard examples
        lose weight along with wrong ones.

    Aliases:
        GCE; L_q loss

    Topics:
        unknown label noise

    References:
        Zhang & Sabuncu 2018, *Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy Labels*,
        NeurIPS

    Example:
        >>> generalized_cross_entropy(torch.zeros(1, 4), torch.tensor([2]), q=0.5).tolist()        # (1 - 1/2) / .5
        [1.0]
    """

    def settings(shape: torch.Size) -> Settings:
        return (read_setting("q", q, shape, high=1.0),)

    keywords = {"class_dim": class_dim, "ignore_index": ignore_index, "mask": mask, "reduction": reduction}
    return odds_loss(_GENERALIZED, logits, targets, settings, **keywords)


def mean_absolute_error(
    logits: Tensor,
    targets: Targets | Tensor,
    *,
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: Tensor | None = None,
    reduction: Reduction = "none",
) -> Tensor:
    """Mean absolute error: one minus the probability of the label.

    1 - p_label        # Ghosh et al. 2017: half of their sum_k |onehot(label)_k - p_k|
    soft targets: sum_k t_k * (loss of label k) = sum_k t_k (1 - p_k), the expected loss; not sum_k |t_k - p_k| / 2

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        targets: (...) integer labels, float probabilities of the shape of the logits, or Targets.
        class_dim: the dimension of the classes.
        ignore_index: label of an example to leave out.
        mask: (...) bool, False for an example to leave out.
        reduction: "none", "mean" or "sum"; the mean is over the examples that are not left out.

    Returns:
        (...) float32 or wider, from 0 to 1; () unless reduction is "none". Examples that are left out have loss 0.
        Small values are computed without cancellation.

    Raises:
        ValueError: if shapes differ, or a label is out of range.
        TypeError: if logits are not floating-point, or labels not integers.

    Special cases:
        uniform logits give 1 - 1/K; the sum over all K labels is K - 1, whatever the logits.

    Notes:
        The factor 2 of the vector form is dropped, so that this is GCE with q=1.

    Complexity:
        Labels: two passes over the logits, one of them for the gradient, and no other N x K tensor. Soft targets:
        O(N K) with several tensors of the size of the logits.

    When to use:
        As the passive part of :func:`active_passive_loss`. Its sum over all labels is constant, which makes it robust
        to symmetric noise (Ghosh et al. 2017).

    Limitations:
        Used alone it hardly learns with many classes: an example with p_label near 0 has almost no gradient (Zhang &
        Sabuncu 2018).

    Aliases:
        MAE

    Topics:
        unknown label noise

    References:
        Ghosh et al. 2017, *Robust Loss Functions under Label Noise for Deep Neural Networks*, AAAI

    Example:
        >>> round(float(mean_absolute_error(torch.zeros(1, 4), torch.tensor([2]))), 4)
        0.75
    """
    keywords = {"class_dim": class_dim, "ignore_index": ignore_index, "mask": mask, "reduction": reduction}
    return odds_loss(_WRONG, logits, targets, lambda shape: (), **keywords)


def _generalized(odds: Tensor, q: Tensor) -> Tensor:
    log_prob = logsigmoid(odds)
    return torch.where(q == 0, -log_prob, -torch.expm1(times(q, log_prob)) / q.masked_fill(q == 0, 1.0))


def _wrong(odds: Tensor) -> Tensor:
    return torch.sigmoid(-odds)


_GENERALIZED = OddsLoss("power", _generalized)
_WRONG = OddsLoss("wrong", _wrong, lambda: (0.0, 1.0))
