"""The base of all calibrators, and their names."""

import re
from abc import abstractmethod
from typing import Any, Self, TypeVar

from torch import Tensor

from softtargets._arrays import ArrayLike, array_function
from softtargets._errors import unknown
from softtargets._rows import is_one_column, two_columns
from softtargets.calibration._inputs import Examples, examples
from softtargets.calibration.fitted import FittedModule
from softtargets.metrics.arguments import check_scores


class Calibrator(FittedModule):
    """A map from logits to calibrated log-probabilities, fitted on held-out examples."""

    converged: Tensor

    def __init__(self, **buffers: Any) -> None:
        """Register the buffers, see :class:`FittedModule`, and whether the fit converged."""
        super().__init__(converged=False, **buffers)

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

    def _fit(self, rows: Examples, **options: Any) -> Self:
        self.fill(**self._solve(rows, **options))
        return self.to(rows.logits.device)


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
