"""A moving average of the student's weights as its teacher."""

import copy
from typing import Any

import torch
from torch import nn

from softtargets._errors import fail, fail_type
from softtargets.targets.checks import fraction

__all__ = ["MovingAverage"]


class MovingAverage(nn.Module):
    """An exponential moving average of a model's weights, for use as a teacher.

    average <- decay * average + (1 - decay) * weights        # Tarvainen & Valpola 2017, mean teacher

    The average starts as a copy of the model. Parameters are averaged. Buffers, such as the running statistics of batch
    normalisation, are copied. The module always stays in eval mode, even inside a module that is in train mode, and its
    forward pass computes no gradient. Its state_dict holds that of the model, under ``average.``.

    Args:
        model: the model to average; it is copied.
        decay: weight of the previous average, in [0, 1].

    Raises:
        ValueError: if decay is outside [0, 1].
        TypeError: if model is not a torch.nn.Module or decay is not a number.

    Special cases:
        decay=0 gives the current model; decay=1 gives the initial model.

    Notes:
        No bias correction: after n updates the initial weights have weight decay^n. Other implementations start with a
        smaller decay, or copy at the first update (torch's AveragedModel).

    Complexity:
        A second model in memory, and one pass over the weights per update.

    When to use:
        Self-distillation without a separate teacher. Also as the model to evaluate.

    Limitations:
        The average lags by about 1 / (1 - decay) updates. Half-precision weights lose small updates to rounding: keep
        the model in float32, with autocast if needed.

    Aliases:
        EMA; ModelEma; AveragedModel

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
        if not isinstance(model, nn.Module):
            raise fail_type("model", "a torch.nn.Module", type(model).__name__, "pass the model to average")
        self.decay = fraction("decay", decay)
        self.average = copy.deepcopy(model).requires_grad_(False).eval()

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Add the model's current weights to the average; call it after each optimizer step.

        Args:
            model: the model, with the names and shapes that it had when it was copied.

        Raises:
            ValueError: if a parameter or buffer is missing, new or of another shape (the first is named). The average
                is then unchanged.
        """
        if not isinstance(model, nn.Module):
            raise fail_type("model", "a torch.nn.Module", type(model).__name__, "pass the model that was copied")
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
        """Return the output of the averaged model, without a gradient."""
        return self.average(*args, **kwargs)

    def train(self, mode: bool = True) -> "MovingAverage":
        """Stay in eval mode, whatever `mode` is: a teacher uses no dropout and updates no statistics."""
        del mode
        return super().train(False)

    def extra_repr(self) -> str:
        """Return the decay."""
        return f"decay={self.decay:g}"


def _check_same(given: dict[str, torch.Tensor], known: dict[str, torch.Tensor]) -> None:
    for name in [*known, *given]:
        if name not in given or name not in known:
            got = f"{'no' if name in known else 'a new'} '{name}'"
            raise fail(
                "model", "the parameter and buffer names at construction", got, "pass the bare model, without a wrapper"
            )
        if given[name].shape != known[name].shape:
            required = f"shape {tuple(known[name].shape)} for '{name}'"
            raise fail("model", required, tuple(given[name].shape), "pass the model that was copied")
