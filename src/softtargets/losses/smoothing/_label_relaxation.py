"""Label relaxation: a loss that is 0 once the label is probable enough."""

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from softtargets._native.labels import OddsLoss
from softtargets.losses._engine.log_odds import Settings, label_loss, quick_label_loss
from softtargets.losses.inputs import read_labelled
from softtargets.losses.reduction import Reduction
from softtargets.losses.settings import read_setting

__all__ = ["label_relaxation_loss"]


def label_relaxation_loss(
    logits: Tensor,
    labels: Tensor,
    *,
    smoothing: float | Tensor = 0.1,
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: Tensor | None = None,
    reduction: Reduction = "none",
) -> Tensor:
    """Label relaxation: requires a label probability of at least 1 - smoothing and leaves the other classes free.

    (1 - a) log((1 - a) / p_label) + a log(a / (1 - p_label)), and 0 once p_label >= 1 - a; a is `smoothing`

    This is KL(t || p) for the target t that is closest to the prediction among all that give the label at least 1 - a
    (Lienen & Hüllermeier 2021). The set of targets is defined by one label, so that soft targets are not accepted.

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        labels: (...) integers in [0, K).
        smoothing: a, a number or a (...) float tensor, one per example, in [0, 1].
        class_dim: the dimension of the classes.
        ignore_index: label of an example to leave out.
        mask: (...) bool, False for an example to leave out.
        reduction: "none", "mean" or "sum"; the mean is over the examples that are not left out.

    Returns:
        (...) float32 or wider, nats, at least 0 up to rounding; () unless reduction is "none". Examples that are left
        out have loss 0. Exactly 0, without a gradient, once p_label >= 1 - a. NaN logits give NaN.

    Raises:
        ValueError: if shapes differ, a label is out of range, or smoothing is outside [0, 1].
        TypeError: if logits are not floating-point, or labels not integers.

    Special cases:
        smoothing=0 gives cross_entropy; smoothing=1 gives 0.

    Notes:
        `smoothing` is the paper's alpha, 0.1: the mass that the target may move away from the label, that is, smoothing
        in the "others" convention.

    Complexity:
        Two passes over the logits, one of them for the gradient; no other N x K tensor.

    When to use:
        As an alternative to label smoothing, if the wrong classes should not be pushed to equal probabilities.

    Limitations:
        Examples whose label is probable enough have no gradient, so that a confidence above 1 - smoothing is not
        reduced.

    Aliases:
        LR

    Topics:
        overconfidence

    References:
        Lienen & Hüllermeier 2021, *From Label Smoothing to Label Relaxation*, AAAI

    Example:
        >>> loss = label_relaxation_loss(torch.zeros(2, 2), torch.tensor([0, 1]), smoothing=torch.tensor([0.0, 0.5]))
        >>> loss.exp().round(decimals=4).tolist()        # cross entropy is log 2
        [2.0, 1.0]
    """

    def settings(shape: torch.Size) -> Settings:
        return (read_setting("smoothing", smoothing, shape, high=1.0),)

    keywords = {"class_dim": class_dim, "ignore_index": ignore_index, "mask": mask}
    result = quick_label_loss(_RELAXATION, logits, labels, settings, **keywords, reduction=reduction)
    if result is not None:
        return result
    examples = read_labelled(logits, labels, **keywords)
    losses = label_loss(examples, _RELAXATION, *settings(examples.logits.shape[:-1]))
    return examples.finish(losses, reduction)


def _relaxation(odds: Tensor, smoothing: Tensor) -> Tensor:
    entropy = torch.special.entr(1 - smoothing) + torch.special.entr(smoothing)
    loss = -(1 - smoothing) * logsigmoid(odds) - smoothing * logsigmoid(-odds) - entropy
    return torch.where(odds >= -torch.logit(smoothing), 0.0, loss)


def _numbers(smoothing: float) -> tuple[float, float, float]:
    """Return the smoothing, its entropy, and the log-odds from which on the loss is 0."""
    if smoothing in (0.0, 1.0):
        return smoothing, 0.0, math.inf if smoothing == 0 else -math.inf
    kept = 1 - smoothing
    return smoothing, -kept * math.log(kept) - smoothing * math.log(smoothing), math.log(kept / smoothing)


_RELAXATION = OddsLoss("relaxation", _relaxation, _numbers)
