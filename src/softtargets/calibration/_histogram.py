"""Histogram binning."""

from typing import Self

import torch
from torch import Tensor

from softtargets._checks import check_int
from softtargets._errors import fail, unknown
from softtargets.calibration._calibrator import Calibrator, check_given, saved
from softtargets.calibration._classwise import check_uniform, class_probs, normalised
from softtargets.calibration._inputs import examples

__all__ = ["HistogramBinning"]

BINNINGS = ("width", "mass")


@saved
class HistogramBinning(Calibrator):
    """Map each class's probability to the share of it in its bin (Zadrozny & Elkan 2001; Guo et al. 2017).

    p'_k = share of label k among examples with softmax(z)_k in the same bin, divided by the sum over k

    One class against the rest. Predictions may change, by ties too. A bin without examples keeps its middle. A row
    whose classes all get 0 becomes uniform. A share of 0 has the logarithm -inf: one label there, and the NLL is
    infinite. `uniform` mixes a share of the uniform distribution into every row; 0, the default, is what the method
    says, and K / (N + K) is add-one smoothing of each row, as if it were counted from the N examples of the fit.

    Buffers: `edges` (K, B + 1) float64 from 0 to 1, bin b holding edges[b] < p <= edges[b + 1], the first one 0 too;
    `shares` (K, B) float64; `uniform` () float64; `converged` () bool. A new object is to be fitted, or loaded, first.
    """

    sized = ("edges", "shares")
    edges: Tensor
    shares: Tensor
    uniform: Tensor

    def __init__(self) -> None:
        super().__init__(edges=torch.zeros(0, 0), shares=torch.zeros(0, 0), uniform=0.0)

    @classmethod
    def fit(
        cls,
        logits: Tensor,
        labels: Tensor,
        *,
        mask: Tensor | None = None,
        bins: int = 15,
        binning: str = "width",
        uniform: float = 0.0,
    ) -> Self:
        """Count, in each class's bins, the examples and those with its label.

        Args:
            logits: (N, K), or (..., K), float, of examples that the model was not trained on.
            labels: (N,), or (...), int64 in [0, K).
            mask: of the labels' shape, bool, True where a row counts. None: all count.
            bins: how many for each class, at least 1.
            binning: "width": equal widths; "mass": equal counts of each class's probabilities, equal ones together.
            uniform: share of the uniform distribution in every row, in [0, 1).

        Returns:
            HistogramBinning, on the device of the logits; converged, as there is nothing to iterate.

        Raises:
            ValueError: where shapes differ, a label is out of range, a row holds NaN or +inf or has no finite logit
                (first bad row named), bins < 1, binning is another, or uniform is not in [0, 1).
            TypeError: where logits are not floating-point, labels not integers, mask not bool or bins not an int.

        Example:
            >>> logits = torch.tensor([[0.75, 0.25], [0.75, 0.25], [0.25, 0.75]]).log()
            >>> fitted = HistogramBinning.fit(logits, torch.tensor([0, 1, 1]), bins=2)
            >>> fitted.shares.tolist()        # of .25 said and of .75, by class
            [[0.0, 0.5], [0.5, 1.0]]
        """
        check_uniform(uniform)
        check_int("bins", bins, least=1, remedy="15 is usual")
        rows = examples(logits, labels, mask)
        probs = class_probs(rows)
        edges = _edges(probs, bins, binning)
        middle = (edges[:, 1:] + edges[:, :-1]) / 2
        shares = torch.empty_like(middle)
        for k, cuts in enumerate(edges[:, 1:-1].contiguous()):
            place = torch.searchsorted(cuts, probs[k])
            count, own = (part.bincount(minlength=bins).double() for part in (place, place[rows.labels == k]))
            shares[k] = torch.where(count > 0, own / count.clamp(min=1), middle[k])
        fitted = cls()
        fitted.fill(edges=edges, shares=shares)
        fitted.fill(uniform=uniform, converged=True)
        return fitted.to(logits.device)

    def forward(self, logits: Tensor) -> Tensor:
        """Return calibrated log-probabilities, (..., K) float32 or wider, from (..., K) logits."""
        if len(self.shares) == 0:
            raise fail("HistogramBinning", "fitted", "a new object", "use HistogramBinning.fit, or load its state")
        check_given(logits, self.shares.shape[0])
        # (K, n), in float64 as the counts were taken, so that an example stays in its bin
        probs = logits.double().softmax(-1).reshape(-1, logits.shape[-1]).T.contiguous()
        place = torch.searchsorted(self.edges[:, 1:-1].double().contiguous(), probs)
        return normalised(self.shares.double().gather(1, place), self.uniform, logits)

    def extra_repr(self) -> str:
        classes, bins = self.shares.shape
        return f"num_classes={classes}, bins={bins}, uniform={float(self.uniform):g}, converged={bool(self.converged)}"


def _edges(probs: Tensor, bins: int, binning: str) -> Tensor:
    """Return (K, bins + 1) edges from (K, N) probabilities."""
    match binning:
        case "width":
            cuts = (torch.arange(1, bins, dtype=torch.float64, device=probs.device) / bins).expand(len(probs), -1)
        case "mass":
            # the ceiling of b N / B in integers: .07 * 100 is more than 7 in floating point
            ranks = -(-torch.arange(1, bins, device=probs.device) * probs.shape[1] // bins)
            cuts = torch.stack([row.sort().values[ranks - 1] for row in probs])
        case _:
            raise unknown("binning", binning, BINNINGS)
    ends = torch.zeros_like(probs[:, :1])
    return torch.cat([ends, cuts, ends + 1], 1)
