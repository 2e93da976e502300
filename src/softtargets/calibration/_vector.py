"""Vector scaling."""

from typing import Self

import torch
from torch import Tensor

from softtargets._checks import check_fraction
from softtargets._errors import fail
from softtargets._numerics import at_least_float32
from softtargets.calibration._calibrator import Calibrator, check_given, saved
from softtargets.calibration._inputs import Examples, examples
from softtargets.calibration._temperature import TemperatureScaling

__all__ = ["VectorScaling"]


@saved
class VectorScaling(Calibrator):
    """Give every class a scale and a bias (vector scaling; Guo et al. 2017).

    log_softmax(scale * z + bias)

    Predictions may change. A logit of -inf stays one. Unlike temperature scaling it depends on a number added to all
    logits of a row, so give logits as the model made them, at the fit and later.

    Buffers: `scale` (K,) and `bias` (K,) float64, biases summing to 0, since a common one changes nothing; `converged`
    () bool; `left_out` () int64. A new object leaves the logits as they are.

    Special cases:
        scale=1/T and bias=0 give Temperature.
    """

    sized = ("scale", "bias")
    scale: Tensor
    bias: Tensor
    left_out: Tensor

    def __init__(self) -> None:
        super().__init__(scale=[1.0], bias=[0.0], left_out=0)

    @classmethod
    def fit(
        cls,
        logits: Tensor,
        labels: Tensor,
        *,
        mask: Tensor | None = None,
        bias: bool = True,
        tolerance: float = 1e-7,
        steps: int = 500,
    ) -> Self:
        """Find scales and biases at which held-out labels are most likely.

        minimise over scale, bias:  mean_i -log softmax(scale * z_i + bias)[label_i]

        The objective is convex. L-BFGS in float64 starts from the temperature fitted to the same rows, so that it is
        never worse on them. There is no minimum where a class has no label among the rows, or classes can be told apart
        without error: numbers then grow as long as L-BFGS goes on, and the end is marked converged=False.

        Args:
            logits: (N, K), or (..., K), float, of examples that the model was not trained on; -inf for masked classes.
            labels: (N,), or (...), int64 in [0, K).
            mask: of the labels' shape, bool, True where a row counts. None: all count.
            bias: False keeps the biases at 0.
            tolerance: largest entry of the gradient at the end, in nats; scales count in units of the logits' root mean
                square.
            steps: of L-BFGS, at most.

        Returns:
            VectorScaling, on the device of the logits.

        Raises:
            ValueError: as :meth:`TemperatureScaling.fit`, and where steps < 1.
            TypeError: where logits are not floating-point, labels not integers, or mask not bool.

        Example:
            >>> logits = torch.tensor([[1.0, 0.0]]).expand(4, 2)        # 1 in 4 of class 0: log odds of -log 3
            >>> fitted = VectorScaling.fit(logits, torch.tensor([0, 1, 1, 1]))
            >>> fitted(logits[:1]).exp().round(decimals=4).tolist()
            [[0.25, 0.75]]
        """
        check_fraction("tolerance", tolerance, low=1e-12)
        if steps < 1:
            raise fail("steps", "at least 1", steps, "500 are enough for most")
        rows = examples(logits, labels, mask)
        kept = rows.kept()
        start = TemperatureScaling.fit(kept.logits, kept.labels)
        # where one scale for all classes already grows without end, so do several
        endless = bool(start.temperature < 1) and not bool(start.converged)
        weights, converged = _minimise(kept, 1 / start.temperature, bias=bias, tolerance=tolerance, steps=steps)
        fitted = cls()
        fitted.fill(scale=weights[0], bias=weights[1] - weights[1].mean())
        fitted.fill(converged=converged and not endless, left_out=len(rows) - len(kept))
        return fitted.to(logits.device)

    def forward(self, logits: Tensor) -> Tensor:
        """Return calibrated log-probabilities, (..., K) float32 or wider, from (..., K) logits."""
        check_given(logits, self.scale.shape[0])
        logits = at_least_float32(logits)
        masked = logits == -torch.inf
        moved = logits.masked_fill(masked, 0.0) * self.scale.to(logits.dtype) + self.bias.to(logits.dtype)
        return moved.masked_fill(masked, -torch.inf).log_softmax(-1)

    def extra_repr(self) -> str:
        return f"num_classes={self.scale.shape[0]}, converged={bool(self.converged)}"


def _minimise(rows: Examples, start: Tensor, *, bias: bool, tolerance: float, steps: int) -> tuple[Tensor, bool]:
    """Return (2, K) scales and biases, and whether the gradient is 0 there while the steps have become small."""
    # a scale in units in which it does about as much as a bias
    units = torch.tensor([[_root_mean_square(rows)], [1.0]], dtype=torch.float64, device=rows.top.device)
    free = torch.tensor([[1.0], [float(bias)]], dtype=torch.float64, device=rows.top.device)
    weights = (torch.stack([start, torch.zeros_like(start)])[:, None] * units).repeat(1, rows.num_classes)
    weights.requires_grad_()
    optimizer = torch.optim.LBFGS(
        [weights], max_iter=steps, tolerance_grad=tolerance, tolerance_change=0.0, line_search_fn="strong_wolfe"
    )

    def objective() -> tuple[Tensor, Tensor]:
        value, gradient = _objective(rows, weights.detach() / units)
        return value, gradient / units * free

    def closure() -> Tensor:
        value, weights.grad = objective()
        return value

    optimizer.step(closure)
    state = optimizer.state[weights]
    # towards infinity the gradient vanishes too, but not the steps
    step = float(state["t"] * state["d"].abs().max()) if "d" in state else 0.0
    small = step <= 1e-3 * max(1.0, float(weights.detach().abs().max()))
    flat = float(objective()[1].abs().max()) <= tolerance
    return weights.detach() / units, flat and small


def _root_mean_square(rows: Examples) -> float:
    """Return that of the finite logits, at least 1e-6."""
    squares, count = 0.0, 0
    for chunk in rows.chunks():
        finite = rows.logits[chunk] > -torch.inf
        squares += float(rows.logits[chunk].double().masked_fill(~finite, 0.0).square().sum())
        count += int(finite.sum())
    return max((squares / count) ** 0.5, 1e-6)


def _objective(rows: Examples, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean NLL and its (2, K) gradient, in which p - onehot(label) meets the logits and 1."""
    value, gradient = torch.zeros_like(rows.top[:1]), torch.zeros_like(weights)
    for chunk in rows.chunks():
        logits, labels = rows.logits[chunk].double(), rows.labels[chunk, None]
        masked = logits == -torch.inf
        logits = logits.masked_fill(masked, 0.0)
        log_probs = (logits * weights[0] + weights[1]).masked_fill_(masked, -torch.inf).log_softmax(-1)
        value -= log_probs.gather(1, labels).sum()
        residual = log_probs.exp_().scatter_add_(1, labels, torch.full_like(log_probs[:, :1], -1.0))
        gradient += torch.stack([(residual * logits).sum(0), residual.sum(0)])
    return value[0] / len(rows), gradient / len(rows)
