"""The running average of a network's weights."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from softtargets.runs.training import TrainingSpec


def average_of(model: nn.Module, training: TrainingSpec) -> AveragedModel | None:
    """Return the running average of a network's weights and buffers, in evaluation mode; None if there is none."""
    decay = training.average_decay
    if decay is None:
        return None
    update = _ramped(decay) if training.average_ramp else get_ema_multi_avg_fn(decay)
    return AveragedModel(model, multi_avg_fn=update, use_buffers=True).eval()


def _ramped(decay: float) -> Callable[[Any, Any, Tensor | int], None]:
    """Return an update whose decay is at most 1 - 1 / (n + 1) after n updates: at first the mean of all weights."""

    @torch.no_grad()
    def update(averages: Sequence[Tensor], weights: Sequence[Tensor], updates: Tensor | int) -> None:
        # a tensor throughout, so that the host does not wait for a GPU
        share = (1 / (torch.as_tensor(updates) + 1)).clamp(min=1 - decay)
        for average, weight in zip(averages, weights, strict=True):
            if average.is_floating_point():
                average.lerp_(weight, share.to(average))
            else:
                average.copy_(weight)

    return update
