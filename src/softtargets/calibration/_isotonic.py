"""Isotonic regression."""

from typing import Any

import torch
from torch import Tensor

from softtargets import _packages
from softtargets.calibration._classwise import check_uniform, class_probs, count_below, normalised, probs_of
from softtargets.calibration._inputs import Examples
from softtargets.calibration.calibrator import Calibrator, saved

__all__ = ["IsotonicCalibration"]


@saved
class IsotonicCalibration(Calibrator):
    """Isotonic calibration: maps each class's probability by a fitted non-decreasing function (Zadrozny & Elkan 2002).

    p'_k = f_k(softmax(z)_k), divided by the sum over k

    f_k is linear between its knots and constant beyond them. :meth:`fit` runs scikit-learn's IsotonicRegression for
    each class, on the CPU:

    minimise over non-decreasing f_k:  sum_i (f_k(p_ik) - [label_i = k])^2

    With soft labels, [label_i = k] is the probability of class k. Each class is calibrated against the rest, as
    CalibratedClassifierCV(method="isotonic") does. Predicted classes can change, and ties can appear. A row that every
    f_k maps to 0 becomes uniform.

    Buffers: `knots` and `values` (K, M) float64, where a class with fewer knots repeats its last one; `uniform` ()
    float64; `converged` () bool, True after `fit`. Buffers stay float64 in a model of lower precision.

    Args:
        uniform: weight of the uniform distribution that is mixed into every row, in [0, 1). K / (N + K) is add-one
            smoothing of each row, as if it were counted from the N examples of the fit.

    Limitations:
        The smallest probabilities of a class are often mapped to 0, whose logarithm is -inf. One label there makes the
        NLL infinite; uniform > 0 prevents it. `fit` needs scikit-learn.

    Aliases:
        IsotonicRegression

    Example:
        >>> logits = torch.tensor([[0.5, 0.5], [0.75, 0.25], [0.75, 0.25], [0.25, 0.75]]).log()
        >>> fitted = IsotonicCalibration().fit(logits, torch.tensor([1, 0, 1, 1]))  # .75 was right in 1 of 2
        >>> fitted(logits).exp().round(decimals=4)[1].tolist()
        [0.5, 0.5]
    """

    sized = ("knots", "values")
    exact = True
    knots: Tensor
    values: Tensor
    uniform: Tensor

    def __init__(self, *, uniform: float = 0.0) -> None:
        check_uniform(uniform)
        super().__init__(knots=torch.zeros(0, 0), values=torch.zeros(0, 0), uniform=float(uniform))

    def _solve(self, rows: Examples) -> dict[str, Tensor | float]:
        regression = _regression()
        knots, values = [], []
        for k, probs in enumerate(class_probs(rows).cpu()):
            model = regression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
            model.fit(probs.numpy(), rows.occurrence(k).cpu().numpy())
            knots.append(torch.as_tensor(model.X_thresholds_))
            values.append(torch.as_tensor(model.y_thresholds_))
        most = max(2, *map(len, knots))
        return {"knots": _filled(knots, most), "values": _filled(values, most), "converged": True}

    def forward(self, logits: Tensor, class_dim: int = -1) -> Tensor:
        """Return calibrated log-probabilities, (..., K) float32 or float64, from (..., K) logits."""
        self.check_logits(logits, class_dim, self.knots.shape[0])
        logits = logits.movedim(class_dim, -1)
        # float64, since the knots of f_k can be closer than float32 resolves
        knots, values = self.knots, self.values
        probs = probs_of(logits).clamp(knots[:, :1], knots[:, -1:])
        # knots[after - 1] < p <= knots[after], except at the first knot, which can be equal to both
        after = count_below(knots, probs).clamp(min=1)
        x0, x1 = knots.gather(1, after - 1), knots.gather(1, after)
        y0, y1 = values.gather(1, after - 1), values.gather(1, after)
        share = torch.where(x1 > x0, (probs - x0) / torch.where(x1 > x0, x1 - x0, 1.0), 1.0)
        return normalised(y0 + share * (y1 - y0), self.uniform, logits).movedim(-1, class_dim)

    def extra_repr(self) -> str:
        if not self._fitted:
            return "unfitted"
        return f"num_classes={self.knots.shape[0]}, uniform={float(self.uniform):g}, converged={bool(self.converged)}"


def _regression() -> Any:
    return _packages.load("sklearn.isotonic", "IsotonicCalibration", "scikit-learn").IsotonicRegression


def _filled(lists: list[Tensor], length: int) -> Tensor:
    """Return tensors of different lengths as one (K, length) tensor, with the last entry of each repeated."""
    return torch.stack([torch.cat([t, t[-1:].expand(length - len(t))]) for t in lists]).double()
