"""Label relaxation: any target that gives the label enough probability."""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from softtargets._checks import check_fraction, check_per_example
from softtargets._numerics import as_like
from softtargets.losses._engine.log_odds import label_log_odds

__all__ = ["label_relaxation_loss"]


def label_relaxation_loss(
    logits: Tensor, labels: Tensor, *, smoothing: float | Tensor = 0.1, class_dim: int = -1
) -> Tensor:
    """Label relaxation: asks for a probability of at least 1 - smoothing and leaves the other classes free.

    (1 - a) log((1 - a) / p_label) + a log(a / (1 - p_label)), and 0 once p_label >= 1 - a; a is `smoothing`

    That is KL(t || p) for the target t, of all that give the label at least 1 - a, that is closest to the prediction
    (Lienen & Hüllermeier 2021).

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        labels: (...) int64 in [0, K).
        smoothing: a, a number or a (...) float tensor, one per example, in [0, 1].
        class_dim: where the classes are.

    Returns:
        (...) float32 or wider, nats, at least 0 but for rounding; exactly 0, with no gradient, once p_label >= 1 - a.

    Raises:
        ValueError: where shapes differ, a label is out of range, or smoothing is outside [0, 1].
        TypeError: where logits are not floating-point or labels not integers.

    Special cases:
        smoothing=0 gives cross_entropy; smoothing=1 gives 0.

    Notes:
        their alpha, 0.1: the mass that may leave the label, so smoothing in the "others" convention.

    Complexity:
        two passes over the logits, one of them for the gradient; no N x K tensor beside it.

    When to use:
        in label smoothing's place, where the wrong classes should not be pushed to equal shares.

    Limitations:
        examples that are probable enough teach nothing, so confidence above 1 - smoothing is left as it is.

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
    odds = label_log_odds(logits, labels, class_dim=class_dim)
    check_fraction("smoothing", smoothing)
    check_per_example("smoothing", smoothing, odds.shape)
    a = as_like(smoothing, odds)
    entropy = torch.special.entr(1 - a) + torch.special.entr(a)
    loss = -(1 - a) * logsigmoid(odds) - a * logsigmoid(-odds) - entropy
    return torch.where(odds < -torch.logit(a), loss, 0.0)
