"""Ensemble temperature scaling."""

from typing import Self

import torch
from torch import Tensor

from softtargets._numerics import at_least_float32
from softtargets.calibration._calibrator import Calibrator, check_given, saved
from softtargets.calibration._inputs import Examples, examples
from softtargets.calibration._temperature import TemperatureScaling

__all__ = ["EnsembleTemperatureScaling"]


@saved
class EnsembleTemperatureScaling(Calibrator):
    """Mix the predictions at a fitted temperature, the plain ones and the uniform ones (ETS; Zhang et al. 2020).

    log(w_1 softmax(z / T) + w_2 softmax(z) + w_3 / K)

    The order of the classes stays, so every prediction does. A class with a logit of -inf gets w_3 / K too.

    Buffers: `temperature` () float64; `weights` (3,) float64, at least 0, summing to 1; `converged` () bool;
    `left_out` () int64, rows without a part in the fit of T. A new object leaves the probabilities as they are.

    Special cases:
        weights=(1, 0, 0) gives TemperatureScaling; (0, 1, 0) log_softmax.
    """

    temperature: Tensor
    weights: Tensor
    left_out: Tensor

    def __init__(self) -> None:
        super().__init__(temperature=1.0, weights=[0.0, 1.0, 0.0], left_out=0)

    @classmethod
    def fit(cls, logits: Tensor, labels: Tensor, *, mask: Tensor | None = None) -> Self:
        """Fit T by :meth:`TemperatureScaling.fit`, then the weights at which held-out labels are most likely.

        minimise over w on the simplex:  mean_i -log(w_1 a_i + w_2 b_i + w_3 / K)

        with a and b the label's probability at T and at 1. The objective is convex; Newton steps inside a barrier that
        is lowered come within 1e-9 nats of its minimum.

        Args:
            logits: (N, K), or (..., K), float, of examples that the model was not trained on.
            labels: (N,), or (...), int64 in [0, K).
            mask: of the labels' shape, bool, True where a row counts. None: all count.

        Returns:
            EnsembleTemperatureScaling, on the device of the logits; converged where both fits are.

        Raises:
            ValueError: as :meth:`TemperatureScaling.fit`.
            TypeError: where logits are not floating-point, labels not integers, or mask not bool.

        Example:
            >>> logits = torch.tensor([[20.0, 0.0], [20.0, 0.0], [0.1, 0.0], [0.0, 0.1]])
            >>> fitted = EnsembleTemperatureScaling.fit(logits, torch.tensor([0, 1, 0, 1]))
            >>> float(fitted.weights.sum().round(decimals=6))
            1.0
        """
        rows = examples(logits, labels, mask)
        scaled = TemperatureScaling.fit(rows.logits, rows.labels)
        weights, converged = mixture_weights(_likelihoods(rows, float(scaled.temperature)))
        fitted = cls()
        fitted.fill(temperature=scaled.temperature, weights=weights, left_out=scaled.left_out)
        fitted.fill(converged=scaled.converged & converged)
        return fitted.to(logits.device)

    def forward(self, logits: Tensor) -> Tensor:
        """Return calibrated log-probabilities, (..., K) float32 or wider, from (..., K) logits."""
        check_given(logits)
        logits = at_least_float32(logits)
        log_weights = self.weights.log().to(logits.dtype)
        at_temperature = (logits / self.temperature.to(logits.dtype)).log_softmax(-1) + log_weights[0]
        plain = logits.log_softmax(-1) + log_weights[1]
        uniform = log_weights[2] - torch.full_like(plain, logits.shape[-1]).log()
        # of all three at once: the gradient of a pair of -inf is NaN
        return torch.stack([at_temperature, plain, uniform]).logsumexp(0)

    def extra_repr(self) -> str:
        shares = ", ".join(f"{weight:g}" for weight in self.weights.tolist())
        return f"temperature={float(self.temperature):g}, weights=({shares}), converged={bool(self.converged)}"


def _likelihoods(rows: Examples, temperature: float) -> Tensor:
    """Return the label's probability in each of the three predictions, (3, N) float64."""
    found = rows.top.new_full((3, len(rows)), 1 / rows.num_classes)
    for chunk in rows.chunks():
        shifted, labels = rows.shifted(chunk), rows.labels[chunk, None]
        for part, divisor in enumerate((temperature, 1.0)):
            found[part, chunk] = (shifted / divisor).log_softmax(-1).gather(1, labels)[:, 0].exp()
    return found


def mixture_weights(likelihoods: Tensor, *, gap: float = 1e-9) -> tuple[Tensor, bool]:
    """Return the weights of a mixture, (J,) float64, that make (J, N) likelihoods largest, and whether they do.

    mean_i -log <w, l_i> + sum_j w_j has its minimum over w >= 0 where w sums to 1. With the barrier -m sum_j log w_j it
    is smooth, and its minimum no more than J m above. And for any w on the simplex, max_j mean_i l_ij / <w, l_i> - 1
    is at least what can still be won, which certifies the result.
    """
    size = len(likelihoods)
    weights, barrier = torch.full_like(likelihoods[:, 0], 1 / size), 1e-2
    while barrier * size > gap / 10:
        barrier /= 10
        for _ in range(50):
            step, won = _barrier_step(likelihoods, weights, barrier)
            weights = weights + step
            if won < gap**2:
                break
    weights = weights / weights.sum()
    left = (likelihoods / (weights @ likelihoods)).mean(1).max() - 1
    return weights, bool(left <= gap)


def _barrier_step(likelihoods: Tensor, weights: Tensor, barrier: float) -> tuple[Tensor, float]:
    """Return a Newton step that keeps every weight above 0, and about twice what a whole one wins."""

    def objective(weights: Tensor) -> Tensor:
        return weights.sum() - (weights @ likelihoods).log().mean() - barrier * weights.log().sum()

    ratios = likelihoods / (weights @ likelihoods)
    gradient = 1 - ratios.mean(1) - barrier / weights
    curvature = ratios @ ratios.T / ratios.shape[1] + (barrier / weights.square()).diag()
    step = -torch.linalg.solve(curvature, gradient)
    won = float(-(gradient @ step))
    step = step * min(1.0, 0.9 / max(0.9, float((-step / weights).max())))
    # so near the minimum that values differ by rounding alone, the whole step is right
    while won > 1e-9 and objective(weights + step) > objective(weights):
        step = step / 2
    return step, won
