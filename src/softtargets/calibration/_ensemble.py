"""Ensemble temperature scaling."""

import math

import torch
from torch import Tensor

from softtargets._numerics import at_least_float32
from softtargets.calibration._inputs import Examples
from softtargets.calibration._temperature import TemperatureScaling
from softtargets.calibration.calibrator import Calibrator, saved

__all__ = ["EnsembleTemperatureScaling"]


@saved
class EnsembleTemperatureScaling(Calibrator):
    """Ensemble temperature scaling (ETS): a mixture of scaled, original and uniform predictions (Zhang et al. 2020).

    log(w_1 softmax(z / T) + w_2 softmax(z) + w_3 / K)

    The order of the classes, and so the predicted class, stays unchanged. A class with a logit of -inf gets w_3 / K
    too. :meth:`fit` fits T as :class:`TemperatureScaling` does, and then the weights on the simplex:

    minimise over w:  mean_i -log(w_1 a_i + w_2 b_i + w_3 / K)

    a and b are the probabilities of the label at T and at 1; with soft labels, the objective is its mean over their
    classes. The objective is convex. Newton steps with a barrier that
    is lowered step by step come within 1e-9 nats of its minimum.

    Buffers: `temperature` () float64; `weights` (3,) float64, at least 0, with sum 1; `converged` () bool, whether both
    fits converged; `left_out` () int64, number of rows that are not used in the fit of T.

    Special cases:
        weights=(1, 0, 0) gives TemperatureScaling; weights=(0, 1, 0) gives log_softmax.

    Aliases:
        ETS

    Example:
        >>> logits = torch.tensor([[20.0, 0.0], [20.0, 0.0], [0.1, 0.0], [0.0, 0.1]])
        >>> fitted = EnsembleTemperatureScaling().fit(logits, torch.tensor([0, 1, 0, 1]))
        >>> float(fitted.weights.sum().round(decimals=6))
        1.0
    """

    temperature: Tensor
    weights: Tensor
    left_out: Tensor

    def __init__(self) -> None:
        super().__init__(temperature=math.nan, weights=[math.nan] * 3, left_out=0)

    def _solve(self, rows: Examples) -> dict[str, Tensor | float]:
        scaled = TemperatureScaling().fit(rows.logits, rows.given)
        weights, converged = mixture_weights(*_likelihoods(rows, float(scaled.temperature)))
        return {
            "temperature": scaled.temperature,
            "weights": weights,
            "left_out": scaled.left_out,
            "converged": scaled.converged & converged,
        }

    def forward(self, logits: Tensor, class_dim: int = -1) -> Tensor:
        """Return calibrated log-probabilities, (..., K) float32 or float64, from (..., K) logits."""
        self.check_logits(logits, class_dim)
        logits = at_least_float32(logits)
        log_weights = self.weights.log().to(logits.dtype)
        at_temperature = (logits / self.temperature.to(logits.dtype)).log_softmax(class_dim) + log_weights[0]
        plain = logits.log_softmax(class_dim) + log_weights[1]
        uniform = log_weights[2] - torch.full_like(plain, logits.shape[class_dim]).log()
        # all three at once: the gradient of logaddexp of two -inf is NaN
        return torch.stack([at_temperature, plain, uniform]).logsumexp(0)

    def extra_repr(self) -> str:
        if not self._fitted:
            return "unfitted"
        shares = ", ".join(f"{weight:g}" for weight in self.weights.tolist())
        return f"temperature={float(self.temperature):g}, weights=({shares}), converged={bool(self.converged)}"


def _likelihoods(rows: Examples, temperature: float) -> tuple[Tensor, Tensor | None]:
    """Return the probability of the label in each of the three predictions, (3, N) float64.

    With soft labels, return those of every class of a row that can be its label, (3, M), and their shares of all rows,
    (M,) float64.
    """
    row, label = torch.arange(len(rows), device=rows.top.device), rows.labels
    if rows.soft is not None:
        row, label = rows.soft.nonzero().unbind(1)
    found = rows.top.new_full((3, len(row)), 1 / rows.num_classes)
    for chunk in rows.chunks():
        shifted = rows.shifted(chunk)
        here = slice(*torch.searchsorted(row, row.new_tensor([chunk.start, chunk.stop])).tolist())
        at = row[here] - chunk.start, label[here]
        for part, divisor in enumerate((temperature, 1.0)):
            found[part, here] = (shifted / divisor).log_softmax(-1)[at].exp()
    return found, None if rows.soft is None else rows.soft[row, label] / len(rows)


def mixture_weights(likelihoods: Tensor, shares: Tensor | None = None, *, gap: float = 1e-9) -> tuple[Tensor, bool]:
    """Return the mixture weights, (J,) float64, that maximise (J, N) likelihoods, and whether they were found.

    Means over i are weighted by (N,) `shares`, which sum to 1, if they are given.

    mean_i -log <w, l_i> + sum_j w_j has its minimum over w >= 0 where w sums to 1. The barrier -m sum_j log w_j keeps
    w > 0 and changes the minimum by at most J m. For any w on the simplex, max_j mean_i l_ij / <w, l_i> - 1 is an upper
    bound of the distance to the minimum, which certifies the result.
    """
    size = len(likelihoods)
    shares = torch.full_like(likelihoods[0], 1 / likelihoods.shape[1]) if shares is None else shares
    weights, barrier = torch.full_like(likelihoods[:, 0], 1 / size), 1e-2
    while barrier * size > gap / 10:
        barrier /= 10
        for _ in range(50):
            step, won = _barrier_step(likelihoods, shares, weights, barrier)
            weights = weights + step
            if won < gap**2:
                break
    weights = weights / weights.sum()
    left = ((likelihoods / (weights @ likelihoods)) @ shares).max() - 1
    return weights, bool(left <= gap)


def _barrier_step(likelihoods: Tensor, shares: Tensor, weights: Tensor, barrier: float) -> tuple[Tensor, float]:
    """Return a Newton step that keeps every weight above 0, and about twice the decrease of a full step."""

    def objective(weights: Tensor) -> Tensor:
        return weights.sum() - (weights @ likelihoods).log() @ shares - barrier * weights.log().sum()

    ratios = likelihoods / (weights @ likelihoods)
    gradient = 1 - ratios @ shares - barrier / weights
    curvature = (ratios * shares) @ ratios.T + (barrier / weights.square()).diag()
    step = -torch.linalg.solve(curvature, gradient)
    won = float(-(gradient @ step))
    step = step * min(1.0, 0.9 / max(0.9, float((-step / weights).max())))
    # close to the minimum, where values differ by rounding alone, the full step is right
    while won > 1e-9 and objective(weights + step) > objective(weights):
        step = step / 2
    return step, won
