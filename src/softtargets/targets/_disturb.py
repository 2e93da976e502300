"""Labels that are redrawn at random during training."""

from dataclasses import replace

import torch
from torch import Tensor

from softtargets._checks import check_num_classes, read_labels
from softtargets.targets._rules import one_hot
from softtargets.targets._targets import Targets
from softtargets.targets.checks import check_generator, per_example

__all__ = ["disturb_labels"]


def disturb_labels(
    labels: Tensor,
    rate: float | Tensor,
    *,
    num_classes: int,
    ignore_index: int | None = -100,
    generator: torch.Generator | None = None,
) -> Targets:
    """DisturbLabel: redraws labels at random, with new draws at every call.

    t = onehot(redrawn label)

    The redrawn label is the label with probability 1 - rate, and otherwise uniform over all K classes. In expectation
    this is label smoothing with smoothing = rate.

    Args:
        labels: (...) integers in [0, K).
        rate: a number, or a (...) tensor with one number per example: probability of a redraw, in [0, 1]. A redraw may
            return the label itself.
        num_classes: K.
        ignore_index: label of an example to leave out, which is not redrawn; None: no label is ignored.
        generator: on the device of the labels; None: torch's global generator.

    Returns:
        Targets as from ``hard``, of the redrawn labels.

    Raises:
        ValueError: if a label or the rate is out of range, or the rate is not one per example.
        TypeError: if labels are not integers.

    Special cases:
        rate=0 gives hard(labels).

    Notes:
        `rate` is the paper's noise rate alpha. A redraw may return the same label, so a label changes with probability
        rate * (K - 1) / K.

    Complexity:
        O(N); no N x K target is built.

    When to use:
        Stochastic smoothing is wanted. Call it in every training step, not once.

    Limitations:
        Label smoothing has the same expected gradient without the noise.

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
    labels, ignored = read_labels("labels", labels, num_classes=num_classes, ignore_index=ignore_index)
    rate = per_example("rate", rate, labels.shape)
    check_generator(generator, labels.device)
    redrawn = torch.rand(labels.shape, generator=generator, device=labels.device) < rate
    others = torch.randint(num_classes, labels.shape, generator=generator, device=labels.device)
    drawn = one_hot("labels", torch.where(redrawn, others, labels), ignore_index=None, num_classes=num_classes)
    return replace(drawn, ignored=ignored)
