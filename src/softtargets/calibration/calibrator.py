"""The base of all calibrators: fitting, buffers whose sizes the fit determines, and the check that there was a fit."""

import re
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Self, TypeVar

import torch
from torch import Tensor, nn

from softtargets._arrays import ArrayLike, array_function
from softtargets._errors import fail, unknown
from softtargets._rows import is_one_column, two_columns
from softtargets.calibration._inputs import Examples, examples
from softtargets.metrics.arguments import check_class_dim, check_scores


class Calibrator(nn.Module):
    """A map from logits to calibrated log-probabilities, fitted on held-out examples."""

    # buffers whose sizes the fit determines; a new object takes the sizes of the state that it loads
    sized: ClassVar[tuple[str, ...]] = ()
    # arguments of the constructor that are not buffers
    hyperparameters: ClassVar[tuple[str, ...]] = ()
    # whether buffers stay float64 under float(), since rounded edges would move examples into other bins
    exact: ClassVar[bool] = False
    converged: Tensor

    def __init__(self, **buffers: Any) -> None:
        """Register numbers (as float64) and counts as buffers. NaN or no entries mean that the fit sets them."""
        super().__init__()
        for name, value in {"converged": False, **buffers}.items():
            dtype = torch.float64 if torch.as_tensor(value).is_floating_point() else None
            self.register_buffer(name, torch.as_tensor(value, dtype=dtype))
        self._fitted = self._has_values()

    @array_function
    def fit(
        self,
        logits: ArrayLike,
        labels: ArrayLike,
        *,
        mask: ArrayLike | None = None,
        ignore_index: int = -100,
        class_dim: int = -1,
    ) -> Self:
        """Fit to held-out examples. The class's documentation gives the objective.

        Args:
            logits: (..., K) float, of examples that the model was not trained on; -inf for masked classes. (N,) or
                (N, 1): the log-odds of class 1 of two, to which class 0 has the logit 0.
            labels: (...) integers in [0, K), or (..., K) soft labels: votes (whole numbers) or probabilities that sum
                to 1. Votes are divided by their sum, so that every example has the same weight.
            mask: (...) bool, True for rows to include; other rows are not checked. Default: all rows.
            ignore_index: rows with this label are left out.
            class_dim: axis of the classes in `logits`.

        Returns:
            self, moved to the device of the logits.

        Raises:
            ValueError: if shapes differ, a label is out of range, soft labels are negative, sum to 0 or are neither
                whole numbers nor probabilities, a row has NaN, +inf or no finite logit (first bad row named), or no row
                is left. The calibrator then stays unchanged.
            TypeError: if logits are not floating-point, labels neither integers nor one number per class, or mask not
                bool.
        """
        return self._fit(examples(logits, labels, mask, ignore_index, class_dim))

    @array_function
    def __call__(self, logits: ArrayLike, class_dim: int = -1) -> Tensor:
        """Return calibrated log-probabilities; see :meth:`forward`.

        One column of logits of a binary problem, (N,) or (N, 1), gives (N, 2).
        """
        if isinstance(logits, Tensor) and is_one_column(logits) and class_dim in (-1, logits.ndim - 1):
            logits, class_dim = two_columns("logits", check_scores("logits", logits)), -1
        return super().__call__(logits, class_dim)

    @abstractmethod
    def forward(self, logits: Tensor, class_dim: int = -1) -> Tensor:
        """Return calibrated log-probabilities.

        Args:
            logits: (..., K) float.
            class_dim: axis of the classes in `logits`.

        Returns:
            (..., K) float32, or float64 for float64 logits.

        Raises:
            ValueError: if the calibrator is not fitted, or was fitted on another number of classes.
            TypeError: if logits are not floating-point.
        """

    @abstractmethod
    def _solve(self, rows: Examples) -> dict[str, Tensor | float]:
        """Return the values of the buffers for these examples."""

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
        """Require a fitted calibrator and floating-point logits, of as many classes as were fitted."""
        if not self._fitted:
            name = type(self).__name__
            raise fail(name, "a fitted calibrator", "an unfitted one", "call fit(logits, labels), or load a state")
        check_scores("logits", logits)
        if logits.ndim == 0:
            raise fail("logits", "shape (..., K)", "shape ()", "pass one score per class")
        check_class_dim("logits", logits, class_dim)
        if num_classes is not None and num_classes != logits.shape[class_dim]:
            required = f"{num_classes} classes on axis {class_dim}, as fitted"
            raise fail("logits", required, tuple(logits.shape), "use the calibrator of this model, or set class_dim")

    def _fit(self, rows: Examples, **options: Any) -> Self:
        self.fill(**self._solve(rows, **options))
        return self.to(rows.logits.device)

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


# class name -> calibrator, as files name them
CALIBRATORS: dict[str, type[Calibrator]] = {}
Kind = TypeVar("Kind", bound=Calibrator)


def saved(cls: type[Kind]) -> type[Kind]:
    """Register a class of calibrators for files, by its name."""
    CALIBRATORS[cls.__name__] = cls
    return cls


def calibrator_names() -> dict[str, type[Calibrator]]:
    """Return the calibrators by the names that options take, such as "temperature-scaling" for TemperatureScaling."""
    return {re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower(): cls for name, cls in CALIBRATORS.items()}


def make_calibrator(name: str, argument: str = "calibrator") -> Calibrator:
    """Return a new calibrator by its name in :func:`calibrator_names`.

    Raises:
        InputError: if there is none of this name.
    """
    known = calibrator_names()
    if name not in known:
        raise unknown(argument, name, known)
    return known[name]()
