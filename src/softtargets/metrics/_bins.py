"""Bins of confidence: their sums, their edges and the reliability diagram."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from softtargets._results import TensorResult, new_axes, unit_square

__all__ = ["Bins"]


@dataclass(frozen=True, eq=False, repr=False)
class Bins(TensorResult):
    """Sums per bin of confidence, from which calibration errors and reliability diagrams are computed.

    Args:
        edges: (B + 1,) float64 from 0 to 1. Bin b holds edges[b] < confidence <= edges[b + 1], and the first bin also
            includes 0. (K, B + 1) for class-wise bins of equal mass.
        count: (B,) int64, number of examples. `count`, `confidence` and `correct` are (K, B) for class-wise bins, which
            bin the probability of each class.
        confidence: (B,) float64, sums of the confidences.
        correct: (B,) int64, number of right predictions; for class-wise bins, of examples with the label k. With soft
            labels float64, sums of the probability of the label.
    """

    edges: Tensor
    count: Tensor
    confidence: Tensor
    correct: Tensor

    @property
    def accuracy(self) -> Tensor:
        """Share of right predictions in each bin, float64; NaN in empty bins."""
        return self._mean(self.correct)

    @property
    def mean_confidence(self) -> Tensor:
        """Mean confidence in each bin, float64; NaN in empty bins."""
        return self._mean(self.confidence)

    def __repr__(self) -> str:
        classes = f"num_classes={len(self.count)}, " if self.count.ndim == 2 else ""
        examples = int(self.count.sum(-1).max())
        return f"Bins({classes}n_bins={self.count.shape[-1]}, examples={examples})"

    def _mean(self, sums: Tensor) -> Any:
        mean = torch.as_tensor(sums).double() / torch.as_tensor(self.count)
        return mean if isinstance(self.count, Tensor) else mean.numpy()

    def plot(self, ax: Any = None) -> Any:
        """Plot the reliability diagram: accuracy per bin as bars, with the gap to the mean confidence.

        Class-wise bins are drawn as one line per class: frequency against mean probability.

        Args:
            ax: matplotlib axes. Default: those of a new figure.

        Returns:
            The axes.

        Raises:
            ModuleNotFoundError: if matplotlib is not installed.
        """
        edges, counts = torch.as_tensor(self.edges), torch.as_tensor(self.count)
        accuracies, confidences = torch.as_tensor(self.accuracy), torch.as_tensor(self.mean_confidence)
        if counts.ndim == 2:
            ax = unit_square(new_axes(ax), x="mean probability", y="frequency")
            for k, (count, said, found) in enumerate(zip(counts, confidences, accuracies, strict=True)):
                ax.plot(said[count > 0].tolist(), found[count > 0].tolist(), marker=".", label=f"class {k}")
            if len(counts) > 10:
                return ax
        else:
            ax = unit_square(new_axes(ax), x="confidence", y="accuracy")
            filled = counts > 0
            left, width = edges[:-1][filled].tolist(), edges.diff()[filled].tolist()
            accuracy, gap = accuracies[filled], (confidences - accuracies)[filled]
            ax.bar(left, accuracy.tolist(), width, align="edge", edgecolor="white", linewidth=0.5, label="accuracy")
            style: dict[str, Any] = {"align": "edge", "fill": False, "edgecolor": "C3", "hatch": "///"}
            ax.bar(left, gap.tolist(), width, accuracy.tolist(), label="gap to confidence", **style)
        ax.legend(loc="upper left")
        return ax


def width_edges(n_bins: int, device: torch.device | None = None) -> Tensor:
    """Return the edges of bins of equal width, (n_bins + 1,) float64."""
    return torch.arange(n_bins + 1, dtype=torch.float64, device=device) / n_bins
