"""Label smoothing that lowers the largest logit (MaxSup)."""

from dataclasses import replace

import torch
from torch import Tensor

from softtargets._numerics import as_like, times
from softtargets.losses._cross_entropy import cross_entropy
from softtargets.losses._engine.expectation import valid_logits
from softtargets.losses.building_blocks import deferred_cross_entropy, label_and_largest
from softtargets.losses.inputs import LossInputs, read_examples
from softtargets.losses.reduction import Reduction
from softtargets.losses.settings import read_setting
from softtargets.targets import Targets

__all__ = ["max_suppression_loss"]


def max_suppression_loss(
    logits: Tensor,
    targets: Targets | Tensor,
    *,
    smoothing: float | Tensor = 0.1,
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: Tensor | None = None,
    reduction: Reduction = "none",
) -> Tensor:
    """Max suppression: label smoothing that takes its mass from the largest logit instead of the label's.

    cross entropy + r * (z_max - mean(z)), that is t = onehot(label) + r/K - r * onehot(argmax z)    # Zhou et al. 2025

    One value per example; the argmax gets no gradient. The second term does not depend on the target, so that soft
    targets follow the same formula.

    Args:
        logits: (..., K) float, or with the classes at `class_dim`; classes of logit -inf are left out of the mean.
        targets: (...) integer labels, float probabilities of the shape of the logits, or Targets.
        smoothing: r, a number or a (...) float tensor, one per example, in [0, 1].
        class_dim: the dimension of the classes.
        ignore_index: label of an example to leave out.
        mask: (...) bool, False for an example to leave out.
        reduction: "none", "mean" or "sum"; the mean is over the examples that are not left out.

    Returns:
        (...) float32 or wider, nats, at least 0; () unless reduction is "none". Examples that are left out have loss 0.

    Raises:
        ValueError: if shapes differ, a label is out of range, or smoothing is outside [0, 1].
        TypeError: if logits are not floating-point, or labels not integers.

    Special cases:
        smoothing=0 gives cross_entropy; for correct predictions it equals label smoothing.

    Notes:
        `smoothing` is the paper's alpha, in the "all" convention. The authors increase it linearly from 0.1 in the
        first epoch to 0.2 in the last. Some implementations return the batch mean for every row.

    Complexity:
        cross_entropy plus an argmax for labels, twice as much for soft targets; no N x K target.

    When to use:
        Label smoothing helps, but lowers the label's logit on misclassified examples. This loss lowers the logit of the
        wrong prediction instead.

    Limitations:
        Not differentiable where two classes tie for the largest logit, and the minimum can lie there. The only
        published results are the authors' own.

    Aliases:
        MaxSup

    Topics:
        overconfidence

    References:
        Zhou et al. 2025, *MaxSup: Overcoming Representation Collapse in Label Smoothing*, NeurIPS

    Example:
        >>> loss = max_suppression_loss(torch.tensor([[0.0, 3.0, 0.0]]), torch.tensor([0]), smoothing=0.5)
        >>> cross = cross_entropy(torch.tensor([[0.0, 3.0, 0.0]]), torch.tensor([0]))
        >>> round(float(loss - cross), 4)        # (3 - 1) / 2
        1.0
    """
    examples = read_examples(logits, targets, class_dim=class_dim, ignore_index=ignore_index, mask=mask)
    smoothing = read_setting("smoothing", smoothing, examples.logits.shape[:-1], high=1.0)
    if examples.labels is None:
        return examples.finish(_of_soft_targets(examples, smoothing), reduction)
    made = label_and_largest(examples, 1.0, -smoothing)
    made = replace(made, rest=smoothing * torch.ones_like(made.mass()), ignored=examples.left_out)
    return examples.finish(cross_entropy(examples.logits, made), reduction)


def _of_soft_targets(examples: LossInputs, smoothing: float | Tensor) -> Tensor:
    logits = valid_logits(examples)
    own = deferred_cross_entropy(logits, examples.targets)
    largest = logits.detach().argmax(-1)
    ones = torch.ones(largest.shape, dtype=torch.float64, device=logits.device)
    # cross entropy against weights of sum 0: z_max - mean(z)
    excess = deferred_cross_entropy(logits, Targets(index=largest[..., None], value=-ones[..., None], rest=ones))
    return own + times(as_like(smoothing, excess), excess)
