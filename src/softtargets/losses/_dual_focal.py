"""The dual focal loss, which also reweights cross entropy by the probability of the next less probable class."""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from softtargets._numerics import as_like, at_least_float32
from softtargets.losses._engine.expectation import expectation, log_odds, valid_logits
from softtargets.losses._engine.log_odds import apart, label_log_odds
from softtargets.losses._focal import scaled_cross_entropy
from softtargets.losses.inputs import LossInputs, read_examples
from softtargets.losses.reduction import Reduction
from softtargets.losses.settings import over_classes, read_setting
from softtargets.targets import Targets

__all__ = ["dual_focal_loss"]


def dual_focal_loss(
    logits: Tensor,
    targets: Targets | Tensor,
    *,
    gamma: float | Tensor = 5.0,
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: Tensor | None = None,
    reduction: Reduction = "none",
) -> Tensor:
    """Dual focal loss: focal loss that also widens the gap between the label and the next less probable class.

    -(1 - p_label + p_j)^gamma log p_label, with p_j = max{p_k : p_k < p_label}, or 0 if no class is less probable
    soft targets: sum_k t_k * (loss of label k), the expected loss

    After Tao et al. 2023 and their code: classes as probable as the label are not candidates for j, and p_j gets a
    gradient.

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
        gamma=0 gives cross_entropy; a label that is the least probable class gives focal_loss.

    Notes:
        The default gamma of 5 is from the authors' code. It is larger than for the focal loss since the base is larger.

    Complexity:
        Labels: O(N K), with several tensors of the size of the logits. Soft targets: O(N K log K), each row is sorted.

    When to use:
        Calibration, if the focal loss leaves a model underconfident.

    Limitations:
        The loss is discontinuous where the label overtakes a class. Class j is the runner-up only if the prediction is
        right.

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
    examples = read_examples(logits, targets, class_dim=class_dim, ignore_index=ignore_index, mask=mask)
    gamma = read_setting("gamma", gamma, examples.logits.shape[:-1])
    if examples.labels is not None:
        return examples.finish(_dual_focal_of_labels(examples.logits, examples.labels, gamma), reduction)
    return examples.finish(_expected_dual_focal(examples, gamma), reduction)


def _dual_focal_of_labels(logits: Tensor, labels: Tensor, gamma: float | Tensor) -> Tensor:
    logits = at_least_float32(logits)  # so that the two gradients are added before they are rounded
    odds = label_log_odds(logits, labels)
    label, others = apart(logits, labels)
    below = others.masked_fill(others >= label[..., None], -torch.inf).amax(-1)
    others = others.masked_fill((others == -torch.inf).all(-1, keepdim=True), 0.0)
    return _dual_focal(odds, (below - others.logsumexp(-1)).exp(), as_like(gamma, odds))


def _expected_dual_focal(examples: LossInputs, gamma: float | Tensor) -> Tensor:
    logits = at_least_float32(valid_logits(examples))
    odds = log_odds(logits)
    share = (_log_prob_of_next_below(logits) - logsigmoid(-odds)).exp()
    values = _dual_focal(odds, share, as_like(over_classes(gamma), odds))
    return expectation(examples.targets, values, logits != -torch.inf)


def _dual_focal(odds: Tensor, share: Tensor, gamma: Tensor) -> Tensor:
    """Dual focal loss from the log-odds of the label and ``share = p_j / (1 - p_label)``."""
    return scaled_cross_entropy(odds, gamma * (logsigmoid(-odds) + share.log1p()))


def _log_prob_of_next_below(logits: Tensor) -> Tensor:
    """Return, for each class, the log-probability of the most probable class below it, or -inf if there is none."""
    order = logits.argsort(-1)
    ordered = logits.gather(-1, order)
    place = torch.arange(logits.shape[-1], device=logits.device).expand(logits.shape)
    starts = torch.cat([place[..., :1], place[..., 1:] * (ordered[..., 1:] != ordered[..., :-1])], -1)
    first_equal = starts.cummax(-1).values  # in the sorted row, where the run of equal logits begins
    below = order.gather(-1, (first_equal - 1).clamp(min=0))
    log_probs = logits.log_softmax(-1).gather(-1, below).masked_fill(first_equal == 0, -torch.inf)
    return log_probs.gather(-1, order.argsort(-1))
