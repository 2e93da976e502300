"""Vector scaling."""

import math

import torch
from torch import Tensor

from softtargets._checks import check_fraction, check_int
from softtargets._numerics import at_least_float32
from softtargets.calibration._inputs import Examples
from softtargets.calibration._search import BOUNDS, TemperatureNLL, search
from softtargets.calibration.calibrator import Calibrator, saved

__all__ = ["VectorScaling"]


@saved
class VectorScaling(Calibrator):
    """Vector scaling: a scale and a bias for each class, fitted on held-out data (Guo et al. 2017).

    log_softmax(scale * z + bias)

    Predicted classes can change. A logit of -inf stays -inf. Unlike temperature scaling, the result depends on a
    constant added to all logits of a row: pass logits as the model outputs them, to `fit` and later. :meth:`fit`
    minimises the negative log-likelihood of held-out labels over scale and bias:

    mean_i -log softmax(scale * z_i + bias)[label_i]

    or its mean under soft labels.

    This objective is convex. L-BFGS in float64 starts from the temperature fitted on the same rows, so that the result
    is never worse on them.

    Buffers: `scale` (K,) and `bias` (K,) float64, where the biases sum to 0, since a common bias has no effect;
    `converged` () bool; `left_out` () int64, number of rows whose label has the logit -inf.

    Args:
        fit_bias: False keeps the biases at 0.
        tolerance: largest entry of the gradient at the end, in nats; scales are in units of the logits' root mean
            square.
        max_iter: largest number of L-BFGS iterations.

    Special cases:
        scale=1/T and bias=0 give TemperatureScaling.

    Limitations:
        There is no minimum if a class has no label among the rows, or if classes can be separated without error.
        Scales or biases then grow until L-BFGS stops, and the fit ends with converged=False.

    Aliases:
        VectorScale; VectorScaler; PlattScaling

    Example:
        >>> logits = torch.tensor([[1.0, 0.0]]).expand(4, 2)        # 1 in 4 of class 0: log odds of -log 3
        >>> fitted = VectorScaling().fit(logits, torch.tensor([0, 1, 1, 1]))
        >>> fitted(logits[:1]).exp().round(decimals=4).tolist()
        [[0.25, 0.75]]
    """

    sized = ("scale", "bias")
    hyperparameters = ("fit_bias", "tolerance", "max_iter")
    scale: Tensor
    bias: Tensor
    left_out: Tensor

    def __init__(self, *, fit_bias: bool = True, tolerance: float = 1e-7, max_iter: int = 500) -> None:
        check_fraction("tolerance", tolerance, low=1e-12)
        check_int("max_iter", max_iter, least=1, remedy="500 is enough for most data")
        super().__init__(scale=torch.zeros(0), bias=torch.zeros(0), left_out=0)
        self.fit_bias, self.tolerance, self.max_iter = bool(fit_bias), float(tolerance), int(max_iter)

    def _solve(self, rows: Examples) -> dict[str, Tensor | float]:
        kept = rows.kept()
        start = search(TemperatureNLL(kept), *map(math.log, BOUNDS), tolerance=1e-6)
        # if a common scale already grows without bound, so do several scales
        unbounded = start.log_temperature < 0 and not start.converged
        scale = torch.tensor(math.exp(-start.log_temperature), dtype=torch.float64, device=kept.top.device)
        weights, converged = _minimise(
            kept, scale, bias=self.fit_bias, tolerance=self.tolerance, max_iter=self.max_iter
        )
        return {
            # a copy, since exported programs keep the whole storage of a part
            "scale": weights[0].clone(),
            "bias": weights[1] - weights[1].mean(),
            "converged": converged and not unbounded,
            "left_out": len(rows) - len(kept),
        }

    def forward(self, logits: Tensor, class_dim: int = -1) -> Tensor:
        """Return calibrated log-probabilities, (..., K) float32 or float64, from (..., K) logits."""
        self.check_logits(logits, class_dim, self.scale.shape[0])
        logits = at_least_float32(logits).movedim(class_dim, -1)
        masked = logits == -torch.inf
        moved = logits.masked_fill(masked, 0.0) * self.scale.to(logits.dtype) + self.bias.to(logits.dtype)
        return moved.masked_fill(masked, -torch.inf).log_softmax(-1).movedim(-1, class_dim)

    def extra_repr(self) -> str:
        return f"num_classes={self.scale.shape[0]}, converged={bool(self.converged)}" if self._fitted else "unfitted"


def _minimise(rows: Examples, start: Tensor, *, bias: bool, tolerance: float, max_iter: int) -> tuple[Tensor, bool]:
    """Return (2, K) scales and biases, and whether the gradient is 0 there and the last step was small."""
    # units in which a scale has about the same effect as a bias
    units = torch.tensor([[_root_mean_square(rows)], [1.0]], dtype=torch.float64, device=rows.top.device)
    free = torch.tensor([[1.0], [float(bias)]], dtype=torch.float64, device=rows.top.device)
    weights = (torch.stack([start, torch.zeros_like(start)])[:, None] * units).repeat(1, rows.num_classes)
    weights.requires_grad_()
    optimizer = torch.optim.LBFGS(
        [weights], max_iter=max_iter, tolerance_grad=tolerance, tolerance_change=0.0, line_search_fn="strong_wolfe"
    )

    def objective() -> tuple[Tensor, Tensor]:
        value, gradient = _objective(rows, weights.detach() / units)
        return value, gradient / units * free

    def closure() -> Tensor:
        value, weights.grad = objective()
        return value

    optimizer.step(closure)
    state = optimizer.state[weights]
    # towards infinity the gradient vanishes too, but the steps do not
    step = float(state["t"] * state["d"].abs().max()) if "d" in state else 0.0
    small = step <= 1e-3 * max(1.0, float(weights.detach().abs().max()))
    flat = float(objective()[1].abs().max()) <= tolerance
    return weights.detach() / units, flat and small


def _root_mean_square(rows: Examples) -> float:
    """Return the root mean square of the finite logits, at least 1e-6."""
    squares, count = 0.0, 0
    for chunk in rows.chunks():
        finite = rows.logits[chunk] > -torch.inf
        squares += float(rows.logits[chunk].double().masked_fill(~finite, 0.0).square().sum())
        count += int(finite.sum())
    return max((squares / count) ** 0.5, 1e-6)


def _objective(rows: Examples, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean NLL and its (2, K) gradient: p minus the label (as one-hot) times the logits, and times 1."""
    value, gradient = torch.zeros_like(rows.top[:1]), torch.zeros_like(weights)
    for chunk in rows.chunks():
        logits = rows.logits[chunk].double()
        masked = logits == -torch.inf
        logits = logits.masked_fill(masked, 0.0)
        log_probs = (logits * weights[0] + weights[1]).masked_fill_(masked, -torch.inf).log_softmax(-1)
        value -= rows.expected(chunk, log_probs).sum()
        if rows.soft is None:
            ones = torch.full_like(log_probs[:, :1], -1.0)
            residual = log_probs.exp_().scatter_add_(1, rows.labels[chunk, None], ones)
        else:
            residual = log_probs.exp_() - rows.soft[chunk]
        gradient += torch.stack([(residual * logits).sum(0), residual.sum(0)])
    return value[0] / len(rows), gradient / len(rows)
