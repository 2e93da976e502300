"""Calibrated predictions for every example, each by a calibrator that was not fitted on it."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, Unpack, overload

import torch
from torch import Tensor, nn

from softtargets._arrays import ArrayLike, array_function
from softtargets._checks import check_count
from softtargets._errors import fail_type
from softtargets._results import TensorResult, plain
from softtargets._rows import is_one_column
from softtargets.calibration._inputs import largest, read_examples
from softtargets.metrics.arguments import RowOptions

__all__ = ["CrossFit", "cross_fit"]


class _Fittable(Protocol):
    def fit(self, logits: Any, labels: Any, /) -> Any: ...


Fitted = TypeVar("Fitted", bound=_Fittable)


@dataclass(frozen=True, eq=False, repr=False)
class CrossFit(TensorResult, Generic[Fitted]):
    """The result of cross-fitting.

    The spread of the fitted values shows how well they are determined, for example
    ``[float(c.temperature) for c in crossed.calibrators]``.

    Args:
        log_probs: (..., K) float32 or float64, log-probabilities of each row from the calibrator of its fold; metrics
            accept them as logits.
        fold: (...) int64 in [0, folds).
        calibrators: one per fold, fitted on all other folds.
    """

    log_probs: Tensor
    fold: Tensor
    calibrators: tuple[Fitted, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name as Python numbers and lists, with the buffers of each calibrator."""
        states = [
            {name: plain(value) for name, value in calibrator.state_dict().items()}
            for calibrator in self.calibrators
            if isinstance(calibrator, nn.Module)
        ]
        return {"log_probs": plain(self.log_probs), "fold": plain(self.fold), "calibrators": states}

    def __repr__(self) -> str:
        shape = tuple(self.log_probs.shape)
        return f"CrossFit(log_probs=<{shape}>, folds={len(self.calibrators)}, calibrators={self.calibrators})"


class _Options(RowOptions, total=False):
    folds: int
    generator: torch.Generator | None
    fit_options: Mapping[str, Any] | None


@overload
def cross_fit(
    calibrator: Callable[[], Fitted], logits: ArrayLike, labels: ArrayLike, **options: Unpack[_Options]
) -> CrossFit[Fitted]: ...


@overload
def cross_fit(
    calibrator: Fitted, logits: ArrayLike, labels: ArrayLike, **options: Unpack[_Options]
) -> CrossFit[Fitted]: ...


@array_function
def cross_fit(
    calibrator: Any,
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    folds: int = 5,
    generator: torch.Generator | None = None,
    fit_options: Mapping[str, Any] | None = None,
    mask: ArrayLike | None = None,
    ignore_index: int = -100,
    class_dim: int = -1,
) -> CrossFit[Any]:
    """Calibrate every example by a calibrator that was not fitted on it, for unbiased metrics after calibration.

    Each fold is calibrated by a calibrator fitted on the other folds. Folds are random and stratified: their sizes
    differ by at most one example, in total and in each class.

    Args:
        calibrator: a calibrator, which is copied for each fold and stays unchanged, or a function without arguments
            that creates one.
        logits: (..., K) float, of examples that the model was not trained on.
        labels: (...) integers in [0, K), or (..., K) soft labels as the calibrator's `fit` takes them. Folds are then
            stratified by the most likely class.
        folds: number of folds, from 2 to the number of examples that are not left out.
        generator: random generator of the folds. Default: torch's global one.
        fit_options: further arguments of the calibrator's `fit`, such as ``{"transition": T}``.
        mask: (...) bool, True for rows to include. Default: all rows. Other rows are not used in any fit, but are
            assigned to a fold and calibrated like all rows.
        ignore_index: rows with this label are left out of the fits.
        class_dim: axis of the classes in `logits`, and in the result.

    Returns:
        CrossFit.

    Raises:
        ValueError: if shapes differ, a label is out of range, a row has NaN, +inf or no finite logit (first bad row
            named), or `folds` is out of range.
        TypeError: if `calibrator` cannot be fitted, logits are not floating-point or labels not integers.

    Aliases:
        cross_val_predict; CalibratedClassifierCV

    Example:
        >>> from softtargets.calibration import TemperatureScaling
        >>> logits = torch.tensor([[0.0, 4.0], [0.0, 4.0], [4.0, 0.0], [4.0, 0.0]]).repeat(4, 1)
        >>> labels = torch.tensor([1, 0, 0, 0]).repeat(4)
        >>> generator = torch.Generator().manual_seed(0)
        >>> crossed = cross_fit(TemperatureScaling(), logits, labels, folds=4, generator=generator)
        >>> crossed.fold.bincount().tolist(), crossed.log_probs.shape
        ([4, 4, 4, 4], torch.Size([16, 2]))
    """
    create = _creator(calibrator)
    one_column = is_one_column(logits) if isinstance(logits, Tensor) else False
    moved, labels, left_out, soft = read_examples(logits, labels, mask, ignore_index, class_dim)
    largest(moved, left_out)
    rows, marks = moved.reshape(-1, moved.shape[-1]), labels.reshape(-1)
    given = marks if soft is None else soft.reshape(rows.shape)
    counts = torch.ones_like(marks, dtype=torch.bool) if left_out is None else ~left_out.reshape(-1)
    check_count("folds", folds, least=2, most=int(counts.sum()), remedy="5 and 10 are usual")
    fold = torch.empty_like(marks)
    fold[counts] = _stratified(marks[counts], folds, generator)
    fold[~counts] = torch.arange(int((~counts).sum()), device=fold.device) % folds
    calibrators = [create() for _ in range(folds)]
    for k, one in enumerate(calibrators):
        fitting = counts & (fold != k)
        one.fit(rows[fitting], given[fitting], **(fit_options or {}))
    with torch.no_grad():
        parts = [one(rows[fold == k]) for k, one in enumerate(calibrators)]
    log_probs = torch.empty_like(rows, dtype=parts[0].dtype)
    for k, part in enumerate(parts):
        log_probs[fold == k] = part
    shaped = log_probs.reshape(moved.shape).movedim(-1, -1 if one_column else class_dim)
    return CrossFit(shaped, fold.reshape(labels.shape), tuple(calibrators))


def _creator(calibrator: Any) -> Callable[[], Any]:
    """Return a function that creates one calibrator per fold."""
    if not isinstance(calibrator, type) and hasattr(calibrator, "fit"):
        return lambda: copy.deepcopy(calibrator)
    required = "a calibrator, or a function without arguments that creates one"
    remedy = "pass an instance such as TemperatureScaling()"
    if not callable(calibrator) or isinstance(calibrator, nn.Module):
        raise fail_type("calibrator", required, type(calibrator).__name__, remedy)
    if getattr(calibrator, "__name__", "") == "fit":
        raise fail_type("calibrator", required, "a method fit", remedy)
    return calibrator


def _stratified(labels: Tensor, folds: int, generator: torch.Generator | None) -> Tensor:
    """Assign the examples to the folds in turn, class after class, each class shuffled; (N,) int64."""
    device = generator.device if generator is not None else None
    shuffled = torch.randperm(len(labels), generator=generator, device=device).to(labels.device)
    order = shuffled[labels[shuffled].argsort(stable=True)]
    return torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device) % folds)
