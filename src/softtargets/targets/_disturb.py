"""Labels that are redrawn while training goes on."""

from dataclasses import replace

import torch
from torch import Tensor

from softtargets._checks import check_fraction, check_labels, check_num_classes, check_per_example
from softtargets.targets._rules import hard
from softtargets.targets._shared import apart_from_ignored
from softtargets.targets._targets import Targets

__all__ = ["disturb_labels"]


def disturb_labels(
    labels: Tensor,
    rate: float | Tensor,
    *,
    num_classes: int,
    ignore_index: int | None = None,
    generator: torch.Generator | None = None,
) -> Targets:
    """DisturbLabel: redraws labels at random, anew at every call.

    t = onehot(redrawn label), which is the label with probability 1 - rate, else any of the K classes alike

    In expectation this is label smoothing with smoothing = rate.

    Args:
        labels: (...) int64 in [0, K).
        rate: a number or a (...) tensor, share of labels redrawn, in [0, 1]; inclusive: the label may be drawn again.
        num_classes: K.
        ignore_index: label that marks an example without a target, which stays without.
        generator: of the labels' device; the only source of randomness. None: torch's global one.

    Returns:
        Targets as of ``hard``, whose labels are the redrawn ones.

    Raises:
        ValueError: where a label or the rate is out of range, or the rate is not one per example.

    Special cases:
        rate=0 gives hard(labels).

    Notes:
        their noise rate alpha is inclusive as here; a label differs with probability rate * (K - 1) / K.

    Complexity:
        O(N), no N x K target.

    When to use:
        a stochastic smoothing is wanted, fresh for every batch; call it in the training step, not once.

    Limitations:
        label smoothing has the same expected gradient without the noise.

    Aliases:
        label dropout

    Topics:
        overconfidence

    References:
        Xie et al. 2016, *DisturbLabel: Regularizing CNN on the Loss Layer*, CVPR

    Example:
        >>> disturb_labels(torch.tensor([2, 0]), 0.0, num_classes=3).to_dense(3).tolist()
        [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    check_num_classes(num_classes)
    labels, ignored = apart_from_ignored(labels, ignore_index)
    check_labels("labels", labels, num_classes)
    check_fraction("rate", rate)
    check_per_example("rate", rate, labels.shape)
    redrawn = torch.rand(labels.shape, generator=generator, device=labels.device) < rate
    others = torch.randint(num_classes, labels.shape, generator=generator, device=labels.device)
    return replace(hard(torch.where(redrawn, others, labels.long())), ignored=ignored)
