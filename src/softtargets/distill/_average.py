"""A student's own average as its teacher."""

import copy
from typing import Any

import torch
from torch import nn

from softtargets._checks import check_fraction
from softtargets._errors import fail

__all__ = ["MovingAverage"]


class MovingAverage(nn.Module):
    """A running average of a model's weights, which predicts without learning.

    average <- decay * average + (1 - decay) * weights        # Tarvainen & Valpola 2017, mean teacher

    The average begins as a copy of the model. Parameters are averaged; buffers, which are counts or averages of their
    own (batch normalisation), are copied. It is always in eval mode, whatever mode the module that holds it is in, and
    its forward pass keeps no gradient. Its state_dict is all there is to keep: that of the model, under ``average.``.

    Args:
        model: the model to follow; it is copied and not kept.
        decay: in [0, 1]; weight of the average so far.

    Raises:
        ValueError: where decay is outside [0, 1].

    Special cases:
        decay=0 gives the model as it is; decay=1 the model as it was.

    Notes:
        no correction for the start: the first weights count decay^n after n updates. Some code begins with a smaller
        decay instead, or copies at the first update (torch's AveragedModel).

    Complexity:
        a second model in memory, one pass over the weights an update, one forward pass more where it teaches.

    When to use:
        self-distillation without a teacher of its own; also as the model to evaluate.

    Limitations:
        1 / (1 - decay) updates is how far it lags; weights in half precision lose updates smaller than their last bit:
        keep the model in float32, under autocast if need be.

    Example:
        >>> model = torch.nn.Linear(1, 1, bias=False)
        >>> _ = torch.nn.init.constant_(model.weight, 4.0)
        >>> teacher = MovingAverage(model, decay=0.75)
        >>> _ = torch.nn.init.constant_(model.weight, 8.0)
        >>> teacher.update(model)
        >>> teacher(torch.ones(1, 1)).tolist()        # .75 * 4 + .25 * 8
        [[5.0]]
    """

    def __init__(self, model: nn.Module, *, decay: float) -> None:
        super().__init__()
        check_fraction("decay", decay)
        self.decay = decay
        self.average = copy.deepcopy(model).requires_grad_(False).eval()

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take in the model's weights as they are now; call it after each step of the optimizer.

        Args:
            model: the model, with the names and shapes it had when it was copied.

        Raises:
            ValueError: where a parameter or buffer is missing, new or of another shape (first one named); nothing is
                changed.
        """
        # named_parameters lists a tied parameter once, and so it is averaged once
        weights, buffers = dict(model.named_parameters()), dict(model.named_buffers())
        averages, kept = dict(self.average.named_parameters()), dict(self.average.named_buffers())
        _check_same(weights | buffers, averages | kept)
        for name, average in averages.items():
            average.lerp_(weights[name].to(average), 1 - self.decay)
        for name, buffer in kept.items():
            buffer.copy_(buffers[name])

    @torch.no_grad()
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the averaged model does, without a gradient."""
        return self.average(*args, **kwargs)

    def train(self, mode: bool = True) -> "MovingAverage":
        """Stay in eval mode: a teacher drops no units and counts no statistics of its own."""
        del mode
        return super().train(False)

    def extra_repr(self) -> str:
        """Return the decay."""
        return f"decay={self.decay:g}"


def _check_same(given: dict[str, torch.Tensor], known: dict[str, torch.Tensor]) -> None:
    for name in [*known, *given]:
        if name not in given or name not in known:
            got = f"{'no' if name in known else 'a new'} '{name}'"
            raise fail("model", "the names it was copied with", got, "pass the bare model, without a wrapper")
        if given[name].shape != known[name].shape:
            required = f"shape {tuple(known[name].shape)} for '{name}'"
            raise fail("model", required, tuple(given[name].shape), "pass the model that was copied")
