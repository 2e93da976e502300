"""Isotonic regression."""

from typing import Self

import torch
from torch import Tensor

from softtargets.calibration._calibrator import Calibrator, check_given, saved
from softtargets.calibration._classwise import check_uniform, class_probs, normalised
from softtargets.calibration._inputs import examples

__all__ = ["IsotonicCalibration"]


@saved
class IsotonicCalibration(Calibrator):
    """Map each class's probability by the best non-decreasing function (Zadrozny & Elkan 2002).

    p'_k = f_k(softmax(z)_k), divided by the sum over k; f_k joins its knots by lines and is constant beyond them

    One class against the rest, as scikit-learn's CalibratedClassifierCV(method="isotonic") does it. Predictions may
    change, by ties too. A row that every f_k maps to 0 becomes uniform.

    Held-out examples of a class often end at a probability of 0, whose logarithm is -inf: one label there, and the NLL
    is infinite. `uniform` mixes a share of the uniform distribution into every row; 0, the default, is what the method
    says, and K / (N + K) is add-one smoothing of each row, as if it were counted from the N examples of the fit.

    Buffers: `knots` and `values` (K, M) float64, of a class with fewer knots the last one repeated; `uniform` ()
    float64; `converged` () bool. A new object leaves the probabilities as they are.
    """

    sized = ("knots", "values")
    knots: Tensor
    values: Tensor
    uniform: Tensor

    def __init__(self) -> None:
        super().__init__(knots=[[0.0, 1.0]], values=[[0.0, 1.0]], uniform=0.0)

    @classmethod
    def fit(cls, logits: Tensor, labels: Tensor, *, mask: Tensor | None = None, uniform: float = 0.0) -> Self:
        """Fit each class's function by scikit-learn's IsotonicRegression, on the CPU.

        minimise over non-decreasing f_k:  sum_i (f_k(p_ik) - [label_i = k])^2

        Args:
            logits: (N, K), or (..., K), float, of examples that the model was not trained on.
            labels: (N,), or (...), int64 in [0, K).
            mask: of the labels' shape, bool, True where a row counts. None: all count.
            uniform: share of the uniform distribution in every row, in [0, 1).

        Returns:
            IsotonicCalibration, on the device of the logits; converged, as it is found in finitely many steps.

        Raises:
            ValueError: where shapes differ, a label is out of range, a row holds NaN or +inf or has no finite logit
                (first bad row named), or uniform is not in [0, 1).
            TypeError: where logits are not floating-point, labels not integers, or mask not bool.
            ModuleNotFoundError: where scikit-learn is not installed.

        Example:
            >>> logits = torch.tensor([[0.5, 0.5], [0.75, 0.25], [0.75, 0.25], [0.25, 0.75]]).log()
            >>> fitted = IsotonicCalibration.fit(logits, torch.tensor([1, 0, 1, 1]))  # 1 in 2 right where .75 was said
            >>> fitted(logits).exp().round(decimals=4)[1].tolist()
            [0.5, 0.5]
        """
        from sklearn.isotonic import IsotonicRegression

        check_uniform(uniform)
        rows = examples(logits, labels, mask)
        knots, values = [], []
        for k, probs in enumerate(class_probs(rows).cpu()):
            model = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
            model.fit(probs.numpy(), (rows.labels == k).double().cpu().numpy())
            knots.append(torch.as_tensor(model.X_thresholds_))
            values.append(torch.as_tensor(model.y_thresholds_))
        most = max(2, *map(len, knots))
        fitted = cls()
        fitted.fill(knots=_filled(knots, most), values=_filled(values, most), uniform=uniform, converged=True)
        return fitted.to(logits.device)

    def forward(self, logits: Tensor) -> Tensor:
        """Return calibrated log-probabilities, (..., K) float32 or wider, from (..., K) logits."""
        check_given(logits, self.knots.shape[0])
        # (K, n), in float64: the steps of f_k may lie closer than float32 tells apart
        probs = logits.double().softmax(-1).reshape(-1, logits.shape[-1]).T.contiguous()
        knots, values = (t.double().expand(len(probs), -1).contiguous() for t in (self.knots, self.values))
        probs = probs.clamp(knots[:, :1], knots[:, -1:])
        # knots[after - 1] < p <= knots[after], but for the first knot, which both ends of its segment may be
        after = torch.searchsorted(knots, probs).clamp(min=1)
        x0, x1 = knots.gather(1, after - 1), knots.gather(1, after)
        y0, y1 = values.gather(1, after - 1), values.gather(1, after)
        share = torch.where(x1 > x0, (probs - x0) / torch.where(x1 > x0, x1 - x0, 1.0), 1.0)
        return normalised(y0 + share * (y1 - y0), self.uniform, logits)

    def extra_repr(self) -> str:
        return f"num_classes={self.knots.shape[0]}, uniform={float(self.uniform):g}, converged={bool(self.converged)}"


def _filled(lists: list[Tensor], length: int) -> Tensor:
    """Return lists of different lengths as one (K, length) tensor, the last entry of each repeated."""
    return torch.stack([torch.cat([t, t[-1:].expand(length - len(t))]) for t in lists]).double()
