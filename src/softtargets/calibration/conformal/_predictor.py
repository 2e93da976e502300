"""The base of all conformal predictors: thresholds from calibration rows, and sets of classes from them."""

import warnings
from abc import abstractmethod
from collections.abc import Iterator
from typing import Self, TypeVar

import torch
from torch import Tensor

from softtargets._arrays import ArrayLike, array_function
from softtargets._checks import check_entries, check_floating, check_num_classes, read_labels
from softtargets._errors import fail
from softtargets.calibration._inputs import (
    CHUNK,
    Examples,
    check_logits,
    kept_examples,
    largest,
    read_examples,
    refuse_soft,
)
from softtargets.calibration.conformal.quantiles import check_alpha, noise_weights
from softtargets.calibration.conformal.thresholds import FittedThresholds, Rare, ThresholdRule
from softtargets.calibration.fitted import FittedModule
from softtargets.matrices import Transition

__all__ = ["ConformalPredictor"]


class ConformalPredictor(FittedModule):
    """A map from logits to sets of classes that contain the label with a given probability; see :class:`LAC`.

    A subclass defines the nonconformity score of each class. A set has the classes whose score is at most a threshold,
    which is fitted on held-out rows.

    Args:
        class_conditional: whether each class has its own threshold, from the calibration rows with its label.
        rare: with `class_conditional`, the rule for classes with fewer than ceil(1 / alpha) - 1 rows. "include": the
            class is in every set. "merge": all such classes share a threshold, from the rows of all of them.
        allow_empty: whether a set may be empty; False adds the most likely class to every set.
    """

    sized = ("thresholds", "class_rows", "effective_rows")
    exact = True
    noun = "predictor"
    alpha: Tensor
    thresholds: Tensor
    class_rows: Tensor
    effective_rows: Tensor

    def __init__(self, *, class_conditional: bool = False, rare: Rare = "include", allow_empty: bool = True) -> None:
        ThresholdRule(0.5, class_conditional, rare)
        none = torch.zeros(0)
        super().__init__(alpha=torch.nan, thresholds=none, class_rows=none.long(), effective_rows=none)
        self.class_conditional, self.allow_empty = bool(class_conditional), bool(allow_empty)
        self.rare: Rare = rare

    @property
    def randomized(self) -> bool:
        """Whether scores depend on a random number for each row."""
        return False

    @abstractmethod
    def _class_scores(self, probs: Tensor, uniform: Tensor | None) -> Tensor:
        """Return the score of each class, (..., K) float64, from (..., K) probabilities and (...) random numbers."""

    @array_function
    def fit(
        self,
        logits: ArrayLike,
        labels: ArrayLike,
        *,
        alpha: float,
        transition: Transition | ArrayLike | None = None,
        uniform: ArrayLike | None = None,
        mask: ArrayLike | None = None,
        ignore_index: int = -100,
        class_dim: int = -1,
    ) -> Self:
        """Fit the thresholds to calibration rows.

        A UserWarning says if there are too few rows for `alpha`, so that a class is in every set.

        Args:
            logits: (..., K) float, of rows that neither the model nor a calibrator was fitted on. For probabilities,
                pass their logarithms. (N,) or (N, 1): the log-odds of class 1 of two.
            labels: (...) integers in [0, K).
            alpha: share of sets that may miss the label, in (0, 1).
            transition: noise of the labels, Transition or (K, K) float; row = clean class, column = observed class,
                rows sum to 1. The thresholds are then those of clean labels. Default: the labels are clean.
            uniform: (...) float in [0, 1), the random number of each row, for randomised scores. Default: drawn from
                torch's global generator.
            mask: (...) bool, True for rows to include; other rows are not checked. Default: all rows.
            ignore_index: rows with this label are left out.
            class_dim: axis of the classes in `logits`.

        Returns:
            self, moved to the device of the logits.

        Raises:
            ValueError: if alpha is out of range, shapes differ, a label is out of range, a row has NaN, +inf or no
                finite logit (first bad row named), no row is left, or `transition` has no inverse or other classes. The
                predictor then stays unchanged.
            TypeError: if logits are not floating-point, labels not integers, or mask not bool.
        """
        rule = self._rule(alpha)
        read = read_examples(logits, labels, mask, ignore_index, class_dim)
        refuse_soft(read[3])
        rows, left_out = kept_examples(*read), read[2]
        numbers = self._numbers(uniform, tuple(read[1].shape), rows.logits.device).reshape(-1)
        numbers = numbers if left_out is None else numbers[~left_out.reshape(-1)]
        if transition is None:
            scores = [part.gather(1, rows.labels[at, None])[:, 0] for at, part in self._chunks(rows, numbers)]
            return self._set(rule, rule.clean(torch.cat(scores), rows.labels, rows.num_classes))
        weights = noise_weights(transition, rows.labels, rows.num_classes)
        scores = torch.cat([part for _, part in self._chunks(rows, numbers)])
        return self._set(rule, rule.corrected(scores, weights, rows.labels))

    @array_function
    def fit_scores(self, scores: ArrayLike, labels: ArrayLike, *, num_classes: int, alpha: float) -> Self:
        """Fit the thresholds to the scores of labels, for calibration rows that are read in batches.

        ``fit(logits, labels, alpha=alpha)`` is ``fit_scores`` of ``scores(logits)`` gathered at the labels.

        Args:
            scores: (N,) float, the entry of :meth:`scores` at the label of each row.
            labels: (N,) integers in [0, K).
            num_classes: K.
            alpha: share of sets that may miss the label, in (0, 1).

        Returns:
            self, moved to the device of the scores.

        Raises:
            ValueError: if shapes differ, a score is NaN, a label is out of range, or there are no rows.
            TypeError: if scores are not floating-point or labels not integers.
        """
        rule = self._rule(alpha)
        check_num_classes(num_classes)
        check_floating("scores", scores)
        if scores.ndim != 1 or len(scores) == 0:
            raise fail("scores", "shape (N,) with N >= 1", tuple(scores.shape), "give the score of each row's label")
        check_entries("scores", scores, lambda s: ~s.isnan(), "numbers without NaN", "fix or drop that row")
        whole, _ = read_labels("labels", labels, num_classes=num_classes, shape=tuple(scores.shape))
        return self._set(rule, rule.clean(scores.detach().double(), whole.to(scores.device), num_classes))

    @array_function
    def scores(self, logits: ArrayLike, *, uniform: ArrayLike | None = None, class_dim: int = -1) -> Tensor:
        """Return the nonconformity score of each class; no fit is needed.

        Args:
            logits: (..., K) float; -inf for masked classes. (N,) or (N, 1): the log-odds of class 1 of two.
            uniform: (...) float in [0, 1), as in :meth:`fit`.
            class_dim: axis of the classes in `logits`, and in the result.

        Returns:
            (..., K) float64; a larger score says that the class fits less.

        Raises:
            ValueError: if a row has NaN, +inf or no finite logit (first bad row named), or `uniform` has another shape
                or range.
            TypeError: if logits are not floating-point.
        """
        moved = check_logits(logits, class_dim)
        largest(moved)
        numbers = self._numbers(uniform, tuple(moved.shape[:-1]), moved.device) if self._draws(uniform) else None
        found = self._class_scores(moved.double().softmax(-1), numbers)
        return found if _one_column(logits, moved) else found.movedim(-1, class_dim)

    @array_function
    def predict_sets(self, logits: ArrayLike, *, uniform: ArrayLike | None = None, class_dim: int = -1) -> Tensor:
        """Return the set of each row, as which classes it contains.

        Args:
            logits: (..., K) float; -inf for masked classes. (N,) or (N, 1): the log-odds of class 1 of two.
            uniform: (...) float in [0, 1), as in :meth:`fit`. A set then depends on its row alone.
            class_dim: axis of the classes in `logits`, and in the result.

        Returns:
            (..., K) bool.

        Raises:
            ValueError: if the predictor is not fitted, or was fitted on another number of classes, or a row has NaN,
                +inf or no finite logit (first bad row named).
            TypeError: if logits are not floating-point.
        """
        self.check_logits(logits, class_dim)
        moved = check_logits(logits, class_dim)
        largest(moved)
        if self._draws(uniform):
            uniform = self._numbers(uniform, tuple(moved.shape[:-1]), moved.device)
        sets = self(moved, uniform)
        return sets if _one_column(logits, moved) else sets.movedim(-1, class_dim)

    def forward(self, logits: Tensor, uniform: Tensor | None = None, class_dim: int = -1) -> Tensor:
        """Return the set of each row without checking its values, for exported models.

        Args:
            logits: (..., K) float.
            uniform: (...) float in [0, 1). Default: drawn, for randomised scores.
            class_dim: axis of the classes in `logits`.

        Returns:
            (..., K) bool.

        Raises:
            ValueError: if the predictor is not fitted, or was fitted on another number of classes.
            TypeError: if logits are not floating-point.
        """
        self.check_logits(logits, class_dim, self.class_rows.shape[0])
        moved = logits.movedim(class_dim, -1)
        if uniform is None and self.randomized:
            uniform = torch.rand(moved.shape[:-1], dtype=torch.float64, device=moved.device)
        sets = self._class_scores(moved.double().softmax(-1), uniform) <= self.thresholds
        if not self.allow_empty:
            sets = sets.scatter(-1, moved.argmax(-1, keepdim=True), True)
        return sets.movedim(-1, class_dim)

    def extra_repr(self) -> str:
        if not self._fitted:
            return "unfitted"
        shown = "per class" if self.class_conditional else f"{float(self.thresholds[0]):.4g}"
        rows = int(self.class_rows.sum())
        return f"alpha={float(self.alpha):g}, num_classes={len(self.class_rows)}, rows={rows}, threshold={shown}"

    def _draws(self, uniform: Tensor | None) -> bool:
        """Return whether a random number for each row is needed; raise an error for one that would have no effect."""
        if uniform is not None and not self.randomized:
            remedy = "leave it out, or set randomized=True where the class has it"
            raise fail("uniform", f"nothing for {type(self).__name__} without randomisation", "random numbers", remedy)
        return self.randomized

    def _numbers(self, uniform: Tensor | None, shape: tuple[int, ...], device: torch.device) -> Tensor:
        """Return one number for each row, (...) float64 in [0, 1); zeros if scores are not randomised."""
        if not self._draws(uniform):
            return torch.zeros((), dtype=torch.float64, device=device).expand(shape)
        if uniform is None:
            return torch.rand(shape, dtype=torch.float64, device=device)
        check_floating("uniform", uniform)
        if tuple(uniform.shape) != shape:
            raise fail("uniform", f"shape {shape}, one per row", tuple(uniform.shape), "pass torch.rand(shape)")
        check_entries("uniform", uniform, lambda u: (u >= 0) & (u < 1), "numbers in [0, 1)", "pass torch.rand(shape)")
        return uniform.detach().to(device, torch.float64)

    def _chunks(self, rows: Examples, numbers: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """Yield the scores of all classes for a few rows at a time."""
        step = max(1, CHUNK // rows.num_classes)
        for start in range(0, len(rows), step):
            at = slice(start, start + step)
            yield at, self._class_scores(rows.logits[at].double().softmax(-1), numbers[at] if self.randomized else None)

    def _rule(self, alpha: float) -> ThresholdRule:
        return ThresholdRule(check_alpha(alpha), self.class_conditional, self.rare)

    def _set(self, rule: ThresholdRule, found: FittedThresholds) -> Self:
        """Set the buffers, and warn if a threshold is infinite."""
        settings = {"thresholds": found.values, "effective_rows": found.effective_rows, "class_rows": found.class_rows}
        self.fill(alpha=rule.alpha, **settings)
        if message := rule.too_few(found):
            # the caller of fit, below the decorator
            warnings.warn(message, stacklevel=4)
        return self.to(found.values.device)


# class name -> predictor, as files name them
PREDICTORS: dict[str, type[ConformalPredictor]] = {}
Kind = TypeVar("Kind", bound=ConformalPredictor)


def predictor(cls: type[Kind]) -> type[Kind]:
    """Register a class of predictors for files, by its name."""
    PREDICTORS[cls.__name__] = cls
    return cls


def _one_column(logits: Tensor, moved: Tensor) -> bool:
    """Return whether two columns were made from one."""
    return moved.numel() != logits.numel()
