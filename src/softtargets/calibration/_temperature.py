"""Temperature scaling."""

import math
import numbers
from typing import Any, Self

import torch
from torch import Tensor

from softtargets._arrays import ArrayLike, array_function
from softtargets._checks import check_fraction
from softtargets._errors import fail, fail_type
from softtargets._numerics import at_least_float32
from softtargets.calibration._inputs import Examples, examples
from softtargets.calibration._search import BOUNDS, TemperatureNLL, search
from softtargets.calibration.calibrator import Calibrator, saved
from softtargets.matrices import Transition

__all__ = ["TemperatureScaling"]


@saved
class TemperatureScaling(Calibrator):
    """Temperature scaling: divides logits by one scalar fitted on held-out data (Guo et al. 2017).

    log_softmax(z / T)

    It changes the confidences and leaves the predicted classes unchanged. :meth:`fit` minimises the negative
    log-likelihood of held-out labels over T:

    mean_i -log (A^T softmax(z_i / T))[label_i],  A = `transition`, or the identity

    With soft labels q, such as votes of several annotators, it is the mean of sum_k -q_ik log softmax(z_i / T)_k. A
    temperature fitted on the most frequent label instead makes the predictions more confident than the annotators are.

    Without a transition matrix the objective is convex in 1 / T and has one minimum. It is found by Newton steps in
    log T within a bracket, with all sums in float64. The starting point comes from samples of the rows, so that about
    three passes over all rows suffice.

    Buffers: `temperature` () float64; `converged` () bool, False before the fit and if there is no minimum between the
    bounds; `left_out` () int64, number of rows whose label has the logit -inf (or can only come from classes with logit
    -inf; of a soft label, any class with a probability above 0). Such labels have probability 0 at every T and do not
    take part in the fit. The buffers move, save and export with a model; ``module.half()`` leaves them unchanged.

    Args:
        temperature: T, a number above 0. Values above 1 make predictions less confident. Default: set by `fit`.
        bounds: smallest and largest T of the search.
        tolerance: length of the last step in log T; the remaining error is about its square.

    Special cases:
        temperature=1 gives log_softmax; if every label has the largest logit of its row, the likelihood rises as T
        falls to 0, and no T is best: T is then fitted to the targets of Platt (1999), (n + 1) / (n + 2) for the
        predicted class of each of the n rows and the rest for the other classes, and is at most 1, with
        converged=False; if the labels are predicted no better than by chance, T ends at the upper bound with
        converged=False; if all logits of each row are equal, T = 1 with converged=False; one vote per example gives the
        T of these labels.

    Limitations:
        Noisy labels make T too high. If the noise is known, pass `transition` to `fit`; T is then that of clean labels.
        This objective need not be convex: the result is the minimum next to the best of 29 temperatures, evenly spaced
        in log T, on a sample.

    Aliases:
        ModelWithTemperature; CalibratedClassifierCV; TemperatureScaler

    Example:
        >>> logits = torch.tensor([[0.0, 4.0], [0.0, 4.0], [0.0, 4.0], [4.0, 0.0]])    # 3 of 4 right:
        >>> fitted = TemperatureScaling().fit(logits, torch.tensor([1, 1, 1, 1]))    # sigmoid(4 / T) = 3/4
        >>> round(float(fitted.temperature), 6), round(4 / math.log(3), 6), bool(fitted.converged)
        (3.640957, 3.640957, True)
        >>> TemperatureScaling(2.0)(torch.tensor([[0.0, 2 * math.log(3.0)]])).exp().round(decimals=4).tolist()
        [[0.25, 0.75]]
    """

    hyperparameters = ("bounds", "tolerance")
    temperature: Tensor
    left_out: Tensor

    def __init__(
        self,
        temperature: float | Tensor | None = None,
        *,
        bounds: tuple[float, float] = BOUNDS,
        tolerance: float = 1e-6,
    ) -> None:
        given = math.nan if temperature is None else _positive(temperature)
        check_fraction("tolerance", tolerance, low=1e-12)
        super().__init__(temperature=given, left_out=0)
        self.bounds, self.tolerance = _checked(bounds), float(tolerance)

    @array_function
    def fit(
        self,
        logits: ArrayLike,
        labels: ArrayLike,
        *,
        transition: Transition | ArrayLike | None = None,
        mask: ArrayLike | None = None,
        ignore_index: int = -100,
        class_dim: int = -1,
    ) -> Self:
        """Fit the temperature to held-out examples.

        Args:
            logits: (..., K) float, of examples that the model was not trained on; -inf for masked classes.
            labels: (...) integers in [0, K), or (..., K) soft labels: votes (whole numbers) or probabilities that sum
                to 1. Votes are divided by their sum, so that every example has the same weight.
            transition: noise of hard labels, Transition or (K, K) float; row = clean class, column = observed class,
                rows sum to 1. Default: the labels are clean.
            mask: (...) bool, True for rows to include; other rows are not checked. Default: all rows.
            ignore_index: rows with this label are left out.
            class_dim: axis of the classes in `logits`.

        Returns:
            self, moved to the device of the logits.

        Raises:
            ValueError: if shapes differ, a label is out of range, soft labels are negative, sum to 0 or are neither
                whole numbers nor probabilities, a row has NaN, +inf or no finite logit (first bad row named), no row is
                left, or `transition` is given for soft labels. The calibrator then stays unchanged.
            TypeError: if logits are not floating-point, labels neither integers nor one number per class, or mask not
                bool.
        """
        rows = examples(logits, labels, mask, ignore_index, class_dim)
        if transition is not None and rows.soft is not None:
            remedy = "omit transition, or pass one label per row"
            raise fail("transition", "hard labels, whose noise it describes", "soft labels", remedy)
        return self._fit(rows, columns=None if transition is None else _log_columns(transition, rows))

    def _solve(self, rows: Examples, columns: Tensor | None = None) -> dict[str, Tensor | float]:
        kept = rows.kept(columns)
        low, high = map(math.log, self.bounds)
        found = search(TemperatureNLL(kept, columns), low, high, tolerance=self.tolerance)
        best = found.log_temperature
        if best <= low and not found.converged:
            smoothed = search(TemperatureNLL(_smoothed(kept)), low, high, tolerance=self.tolerance)
            best = min(smoothed.log_temperature, 0.0)
        temperature = min(max(math.exp(best), self.bounds[0]), self.bounds[1])
        return {"temperature": temperature, "converged": found.converged, "left_out": len(rows) - len(kept)}

    def forward(self, logits: Tensor, class_dim: int = -1) -> Tensor:
        """Return calibrated log-probabilities, (..., K) float32 or float64, from (..., K) logits."""
        if not torch.jit.is_scripting():  # pyright: ignore[reportPrivateImportUsage]
            self.check_logits(logits, class_dim)
        logits = at_least_float32(logits)
        return (logits / self.temperature.to(logits.dtype)).log_softmax(class_dim)

    def extra_repr(self) -> str:
        if not self._fitted:
            return "unfitted"
        return f"temperature={float(self.temperature):g}, converged={bool(self.converged)}"


def _smoothed(rows: Examples) -> Examples:
    """Return the rows with Platt's targets: (n + 1) / (n + 2) for the predicted class, the rest for the others."""
    predicted = rows.logits.argmax(1, keepdim=True)
    others = (rows.logits > -torch.inf).scatter_(1, predicted, False)
    soft = others / (others.sum(1, keepdim=True).clamp(min=1).double() * (len(rows) + 2))
    soft.scatter_(1, predicted, 1 - soft.sum(1, keepdim=True))
    return Examples(rows.logits, predicted[:, 0], rows.top, soft)


def _positive(temperature: Any) -> float:
    scalar = isinstance(temperature, Tensor) and temperature.ndim == 0
    if isinstance(temperature, bool) or not (scalar or isinstance(temperature, numbers.Real)):
        got = f"shape {tuple(temperature.shape)}" if isinstance(temperature, Tensor) else repr(temperature)
        raise fail_type("temperature", "a number above 0", got, "pass one number, or omit it and call fit")
    if not 0 < float(temperature) < math.inf:
        remedy = "1 leaves the probabilities unchanged"
        raise fail("temperature", "a finite number above 0", f"{float(temperature):g}", remedy)
    return float(temperature)


def _checked(bounds: Any) -> tuple[float, float]:
    if not isinstance(bounds, tuple | list) or len(bounds) != 2 or not all(isinstance(b, numbers.Real) for b in bounds):
        raise fail_type(
            "bounds", "a pair of numbers", repr(bounds), "pass (1e-3, 1e3), the default, or a narrower range"
        )
    low, high = (float(bound) for bound in bounds)
    if not 0 < low < high < math.inf:
        raise fail("bounds", "0 < low < high < inf", f"({low:g}, {high:g})", "the default is (1e-3, 1e3)")
    return low, high


def _log_columns(transition: Transition | Tensor, rows: Examples) -> Tensor:
    """Return the logarithm of T transposed, (K, K) float64: row y is log P(observed as y | clean class)."""
    transition = Transition.wrap(transition)
    if transition.num_classes != rows.num_classes:
        required = f"{rows.num_classes} classes, as the logits"
        raise fail("transition", required, transition.num_classes, "pass one row and column per class")
    return transition.to_dense().to(rows.top).T.log()
