"""Temperature scaling."""

import math
from typing import Self

import torch
from torch import Tensor

from softtargets._checks import check_fraction
from softtargets._errors import fail
from softtargets._numerics import at_least_float32
from softtargets.calibration._calibrator import Calibrator, check_given, saved
from softtargets.calibration._inputs import Examples, examples
from softtargets.calibration._search import TemperatureNLL, search
from softtargets.matrices import Transition

__all__ = ["TemperatureScaling"]


@saved
class TemperatureScaling(Calibrator):
    """Divide logits by one number, which keeps every prediction and changes how sure it is (Guo et al. 2017).

    log_softmax(z / T)

    Buffers: `temperature` () float64; `converged` () bool, False until fitted and where a fit ended at a bound;
    `left_out` () int64, rows that had no part in the fit. They move, save and export with a model;
    ``module.half()`` leaves them as they are.

    Args:
        temperature: T, a finite number above 0; above 1 makes predictions less sure.

    Special cases:
        temperature=1 gives log_softmax.

    Example:
        >>> TemperatureScaling(2.0)(torch.tensor([[0.0, 2 * math.log(3.0)]])).exp().round(decimals=4).tolist()
        [[0.25, 0.75]]
    """

    temperature: Tensor
    left_out: Tensor

    def __init__(self, temperature: float = 1.0) -> None:
        if not 0 < temperature < math.inf:
            raise fail("temperature", "a finite number above 0", f"{temperature:g}", "1 leaves the logits as they are")
        super().__init__(temperature=float(temperature), left_out=0)

    @classmethod
    def fit(
        cls,
        logits: Tensor,
        labels: Tensor,
        *,
        mask: Tensor | None = None,
        transition: Transition | Tensor | None = None,
        bounds: tuple[float, float] = (1e-3, 1e3),
        tolerance: float = 1e-6,
    ) -> Self:
        """Find the temperature at which held-out labels are most likely.

        minimise over T:  mean_i -log (A^T softmax(z_i / T))[label_i],  A = `transition`; None: the identity

        Without a transition, the objective is convex in 1 / T: one minimum. It is found by Newton steps in log T inside
        a bracket, all sums in float64; samples of the rows give the start, so that three visits to all rows are usual.
        Three kinds of data have no minimum inside `bounds`, and end with converged=False: where every label has the
        largest logit of its row, T goes to 0 and ends at the lower bound; where labels have no larger logits than
        chance gives them, T goes to infinity and ends at the upper one; where all logits of each row are alike,
        T = 1 stands.

        Labels that are wrong at times make a plain fit find the model too sure: T comes out too high. Where the noise
        is known, `transition` takes it into account, and the T found is that of clean labels. That objective need
        not be convex: the minimum returned is that beside the best of 29 temperatures, equally far apart in log T,
        tried on a sample.

        A row whose label has the logit -inf (or whose label cannot come from any class with a finite one) is infinitely
        unlikely at every T. Such rows are left out, and counted in `left_out`.

        Args:
            logits: (N, K), or (..., K), float, of examples that the model was not trained on; -inf for masked classes.
            labels: (N,), or (...), int64 in [0, K).
            mask: of the labels' shape, bool, True where a row counts; of the others nothing is asked. None: all count.
            transition: clean -> observed noise of the labels, Transition or (K, K) float with rows that sum to 1.
            bounds: lowest and highest T to search.
            tolerance: the last step in log T is no longer; what is left of the error is about its square.

        Returns:
            TemperatureScaling, on the device of the logits.

        Raises:
            ValueError: where shapes differ, a label is out of range, a row holds NaN or +inf or has no finite logit
                (first bad row named), no row is left, or bounds are not 0 < low < high < inf.
            TypeError: where logits are not floating-point, labels not integers, or mask not bool.

        Example:
            >>> logits = torch.tensor([[0.0, 4.0], [0.0, 4.0], [0.0, 4.0], [4.0, 0.0]])        # as sure each time
            >>> fitted = TemperatureScaling.fit(logits, torch.tensor([1, 1, 1, 1]))        # 3 of 4: sigmoid(4/T) = 3/4
            >>> round(float(fitted.temperature), 6), round(4 / math.log(3), 6), bool(fitted.converged)
            (3.640957, 3.640957, True)
        """
        low, high = bounds
        if not 0 < low < high < math.inf:
            raise fail("bounds", "0 < low < high < inf", f"({low:g}, {high:g})", "1e-3 and 1e3 leave room enough")
        check_fraction("tolerance", tolerance, low=1e-12)
        rows = examples(logits, labels, mask)
        columns = None if transition is None else _log_columns(transition, rows)
        kept = rows.kept(columns)
        found = search(TemperatureNLL(kept, columns), math.log(low), math.log(high), tolerance=tolerance)
        fitted = cls(min(max(math.exp(found.log_temperature), low), high))
        fitted.fill(converged=found.converged, left_out=len(rows) - len(kept))
        return fitted.to(logits.device)

    def forward(self, logits: Tensor) -> Tensor:
        """Return calibrated log-probabilities, (..., K) float32 or wider, from (..., K) logits."""
        if not torch.jit.is_scripting():  # pyright: ignore[reportPrivateImportUsage]
            check_given(logits)
        logits = at_least_float32(logits)
        return (logits / self.temperature.to(logits.dtype)).log_softmax(-1)

    def extra_repr(self) -> str:
        return f"temperature={float(self.temperature):g}, converged={bool(self.converged)}"


def _log_columns(transition: Transition | Tensor, rows: Examples) -> Tensor:
    """Return log of T transposed, (K, K) float64: row y holds how each clean class comes to be observed as y."""
    transition = Transition.wrap(transition)
    if transition.num_classes != rows.num_classes:
        required = f"{rows.num_classes} classes, as the logits"
        raise fail("transition", required, transition.num_classes, "give one row and column per class")
    return transition.to_dense().to(rows.top).T.log()
