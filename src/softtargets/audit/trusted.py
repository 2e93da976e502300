"""Labels of a random sample that were checked by hand, and the noise rate that they correct."""

from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from softtargets.audit.checked import CheckedLabels, read_checked
from softtargets.noise import NoiseRange
from softtargets.noise.streaming.blocks import LabelledBlock
from softtargets.noise.streaming.trusted import correct_rate

# Fewest checked labels.
LEAST = 20
CONFIDENCE = 0.95


@dataclass(frozen=True, eq=False)
class TrustedLabels(CheckedLabels):
    """Right labels of rows that were drawn at random."""

    def within(self, block: LabelledBlock) -> tuple[Tensor, Tensor]:
        """Return the rows of a block that were checked, counted from its first one, and whether their labels differ."""
        part = self.places(block.first_row, len(block))
        chosen = self.rows[part] - block.first_row
        return chosen, block.labels[chosen] != self.labels[part]


def read_trusted(path: Path, class_names: tuple[str, ...]) -> TrustedLabels:
    """Read a CSV file of at least 20 rows with the columns of :func:`~softtargets.audit.checked.read_checked`.

    Raises:
        InputError: as `read_checked`.
    """
    found = read_checked("trusted", path, class_names, least=LEAST)
    return TrustedLabels(found.rows, found.labels)


def bound_range(rate: NoiseRange, low: float, high: float) -> NoiseRange:
    """Return the range within bounds that labels give which people decided on.

    Args:
        rate: the range.
        low, high: share of all labels that are known to be wrong, and 1 minus the share of those that are right.
    """
    estimate, lower, upper = (min(max(end, low), high) for end in (rate.estimate, rate.low, rate.high))
    return replace(rate, estimate=estimate, low=lower, high=upper)


def correct_range(rate: NoiseRange, predicted: Tensor, wrong: Tensor, size: int) -> NoiseRange:
    """Return the range that checked labels give.

    Args:
        rate: the range from the predictions alone.
        predicted: (M,) float64, probabilities that the checked labels are wrong; their mean over all rows is the
            estimate of `rate`.
        wrong: (M,) bool, whether they are.
        size: number of all rows.
    """
    ends = correct_rate(predicted, wrong.double(), mean=rate.estimate, size=size, confidence=CONFIDENCE)
    principles = {**rate.principles, "trusted": ends[0]}
    return replace(rate, estimate=ends[0], low=ends[1], high=ends[2], agree=True, principles=principles)
