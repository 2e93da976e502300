"""The base of what is fitted on held-out logits: buffers whose sizes the fit determines, and the check for a fit."""

from collections.abc import Callable
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from softtargets._errors import fail
from softtargets.metrics.arguments import check_class_dim, check_scores


class FittedModule(nn.Module):
    """A module without parameters whose buffers a fit determines."""

    # buffers whose sizes the fit determines; a new object takes the sizes of the state that it loads
    sized: ClassVar[tuple[str, ...]] = ()
    # arguments of the constructor that are not buffers
    hyperparameters: ClassVar[tuple[str, ...]] = ()
    # whether buffers stay float64 under float(), since rounded edges would move examples into other bins
    exact: ClassVar[bool] = False
    # what such an object is, for errors
    noun: ClassVar[str] = "calibrator"

    def __init__(self, **buffers: Any) -> None:
        """Register numbers (as float64) and counts as buffers. NaN or no entries mean that the fit sets them."""
        super().__init__()
        for name, value in buffers.items():
            dtype = torch.float64 if torch.as_tensor(value).is_floating_point() else None
            self.register_buffer(name, torch.as_tensor(value, dtype=dtype))
        self._fitted = self._has_values()

    @property
    def is_fitted(self) -> bool:
        """Whether there was a fit, or a state was loaded."""
        return self._fitted

    def fill(self, **values: Tensor | float) -> None:
        """Set buffers to values of any size, on the device of the values."""
        for name, value in values.items():
            dtype = torch.float64 if self.get_buffer(name).is_floating_point() else self.get_buffer(name).dtype
            self.register_buffer(name, torch.as_tensor(value, dtype=dtype))
        self._fitted = self._has_values()

    def check_logits(self, logits: Tensor, class_dim: int, num_classes: int | None = None) -> None:
        """Require a fitted object and floating-point logits, of as many classes as were fitted."""
        if not self._fitted:
            name, remedy = type(self).__name__, "call fit(logits, labels), or load a state"
            raise fail(name, f"a fitted {self.noun}", "an unfitted one", remedy)
        check_scores("logits", logits)
        if logits.ndim == 0:
            raise fail("logits", "shape (..., K)", "shape ()", "pass one score per class")
        check_class_dim("logits", logits, class_dim)
        if num_classes is not None and num_classes != logits.shape[class_dim]:
            required = f"{num_classes} classes on axis {class_dim}, as fitted"
            remedy = f"use the {self.noun} of this model, or set class_dim"
            raise fail("logits", required, tuple(logits.shape), remedy)

    def _has_values(self) -> bool:
        numbers = [buffer for buffer in self.buffers() if buffer.is_floating_point() and not buffer.is_meta]
        return all(buffer.numel() > 0 and not bool(buffer.isnan().any()) for buffer in numbers)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # A model in half precision keeps its calibrator: a temperature with three digits would be another temperature.
        def kept(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            narrow = moved.is_floating_point() and moved.itemsize < (tensor.itemsize if self.exact else 4)
            return tensor.to(moved.device) if narrow else moved

        return super()._apply(kept, recurse)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any, **named: Any) -> None:
        for name in self.sized:
            if prefix + name in state_dict:
                self.register_buffer(name, self.get_buffer(name).new_empty(state_dict[prefix + name].shape))
        super()._load_from_state_dict(state_dict, prefix, *rest, **named)
        self._fitted = self._has_values()
