"""What all calibrators share: buffers whose sizes come with the fit, and whether it converged."""

from collections.abc import Callable
from typing import Any, ClassVar, Self, TypeVar

import torch
from torch import Tensor, nn

from softtargets._checks import check_floating
from softtargets._errors import fail


class Calibrator(nn.Module):
    """A map from logits to calibrated log-probabilities that was fitted on held-out examples."""

    # buffers whose sizes the fit decides: a new object takes those of the state that it loads
    sized: ClassVar[tuple[str, ...]] = ()
    converged: Tensor

    def __init__(self, **buffers: Any) -> None:
        """Hold numbers, in float64, and counts as buffers."""
        super().__init__()
        for name, value in {"converged": False, **buffers}.items():
            dtype = torch.float64 if torch.as_tensor(value).is_floating_point() else None
            self.register_buffer(name, torch.as_tensor(value, dtype=dtype))

    def fill(self, **values: Tensor | float) -> None:
        """Set buffers to values of any size, on the device of the values."""
        for name, value in values.items():
            old = self.get_buffer(name)
            self.register_buffer(name, torch.as_tensor(value, dtype=old.dtype))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # a model cast to half precision keeps its calibrator: three digits of T would be another T
        def kept(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            return tensor.to(moved.device) if moved.is_floating_point() and moved.itemsize < 4 else moved

        return super()._apply(kept, recurse)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any, **named: Any) -> None:
        for name in self.sized:
            if prefix + name in state_dict:
                self.register_buffer(name, self.get_buffer(name).new_empty(state_dict[prefix + name].shape))
        super()._load_from_state_dict(state_dict, prefix, *rest, **named)


# class name -> calibrator, as files name them
CALIBRATORS: dict[str, type[Calibrator]] = {}
Kind = TypeVar("Kind", bound=Calibrator)


def saved(cls: type[Kind]) -> type[Kind]:
    """Let files hold calibrators of a class, by its name."""
    CALIBRATORS[cls.__name__] = cls
    return cls


def check_given(logits: Tensor, num_classes: int = 1) -> None:
    """Require floating-point logits, of as many classes as were fitted; 1 stands for any."""
    # in the type of whole numbers, temperatures and log-probabilities would be rounded to such
    check_floating("logits", logits)
    if num_classes not in (1, logits.shape[-1]):
        got = tuple(logits.shape)
        raise fail(
            "logits", f"{num_classes} classes on the last axis, as fitted", got, "use the calibrator of this model"
        )
