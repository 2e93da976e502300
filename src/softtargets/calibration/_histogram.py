"""Histogram binning."""

from typing import Literal

import torch
from torch import Tensor

from softtargets._checks import check_int
from softtargets._errors import unknown
from softtargets.calibration._classwise import check_uniform, class_probs, count_below, normalised, probs_of
from softtargets.calibration._inputs import Examples
from softtargets.calibration.calibrator import Calibrator, saved

__all__ = ["HistogramBinning"]

Binning = Literal["width", "mass"]
BINNINGS: tuple[Binning, ...] = ("width", "mass")


@saved
class HistogramBinning(Calibrator):
    """Histogram binning: replaces each class's probability by its frequency in a bin (Zadrozny & Elkan 2001).

    p'_k = share of label k among examples with softmax(z)_k in the same bin, divided by the sum over k

    Each class is calibrated against the rest (Guo et al. 2017). Predicted classes can change, and ties can appear. A
    bin without examples keeps its midpoint. A row in which every class gets 0 becomes uniform. Soft labels count by the
    probability of the class.

    Buffers: `edges` (K, B + 1) float64 from 0 to 1, where bin b holds edges[b] < p <= edges[b + 1] and the first bin
    also includes 0; `shares` (K, B) float64; `uniform` () float64; `converged` () bool, True after `fit`. Buffers stay
    float64 in a model of lower precision.

    Args:
        n_bins: number of bins for each class, at least 1.
        binning: "width" for bins of equal width; "mass" for bins of equal counts of each class's probabilities, where
            equal probabilities share a bin.
        uniform: weight of the uniform distribution that is mixed into every row, in [0, 1). K / (N + K) is add-one
            smoothing of each row, as if it were counted from the N examples of the fit.

    Limitations:
        A share of 0 has the logarithm -inf, and one label there makes the NLL infinite; uniform > 0 prevents it.

    Aliases:
        HistogramBinningCalibrator

    Example:
        >>> logits = torch.tensor([[0.75, 0.25], [0.75, 0.25], [0.25, 0.75]]).log()
        >>> fitted = HistogramBinning(n_bins=2).fit(logits, torch.tensor([0, 1, 1]))
        >>> fitted.shares.tolist()        # for predictions of .25 and of .75, by class
        [[0.0, 0.5], [0.5, 1.0]]
    """

    sized = ("edges", "shares")
    hyperparameters = ("n_bins", "binning")
    exact = True
    edges: Tensor
    shares: Tensor
    uniform: Tensor

    def __init__(self, *, n_bins: int = 15, binning: Binning = "width", uniform: float = 0.0) -> None:
        check_int("n_bins", n_bins, least=1, remedy="15 is usual")
        if binning not in BINNINGS:
            raise unknown("binning", str(binning), BINNINGS)
        check_uniform(uniform)
        super().__init__(edges=torch.zeros(0, 0), shares=torch.zeros(0, 0), uniform=float(uniform))
        self.n_bins = int(n_bins)
        self.binning: Binning = binning

    def _solve(self, rows: Examples) -> dict[str, Tensor | float]:
        probs = class_probs(rows)
        edges = _edges(probs, self.n_bins, self.binning)
        middle = (edges[:, 1:] + edges[:, :-1]) / 2
        shares = torch.empty_like(middle)
        for k, cuts in enumerate(edges[:, 1:-1].contiguous()):
            place = torch.searchsorted(cuts, probs[k])
            count = place.bincount(minlength=self.n_bins).double()
            own = place.bincount(rows.occurrence(k), minlength=self.n_bins)
            shares[k] = torch.where(count > 0, own / count.clamp(min=1), middle[k])
        return {"edges": edges, "shares": shares, "converged": True}

    def forward(self, logits: Tensor, class_dim: int = -1) -> Tensor:
        """Return calibrated log-probabilities, (..., K) float32 or float64, from (..., K) logits."""
        self.check_logits(logits, class_dim, self.shares.shape[0])
        logits = logits.movedim(class_dim, -1)
        # float64 as in the fit, so that an example stays in its bin
        place = count_below(self.edges[:, 1:-1], probs_of(logits))
        return normalised(self.shares.gather(1, place), self.uniform, logits).movedim(-1, class_dim)

    def extra_repr(self) -> str:
        if not self._fitted:
            return "unfitted"
        classes, n_bins = self.shares.shape
        return (
            f"num_classes={classes}, n_bins={n_bins}, uniform={float(self.uniform):g}, converged={bool(self.converged)}"
        )


def _edges(probs: Tensor, n_bins: int, binning: Binning) -> Tensor:
    """Return (K, n_bins + 1) edges from (K, N) probabilities."""
    if binning == "width":
        cuts = (torch.arange(1, n_bins, dtype=torch.float64, device=probs.device) / n_bins).expand(len(probs), -1)
    else:
        # ceil(b N / B) in integers, since .07 * 100 is more than 7 in floating point
        ranks = -(-torch.arange(1, n_bins, device=probs.device) * probs.shape[1] // n_bins)
        cuts = torch.stack([row.sort().values[ranks - 1] for row in probs])
    ends = torch.zeros_like(probs[:, :1])
    return torch.cat([ends, cuts, ends + 1], 1)
