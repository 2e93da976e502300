"""Which classes are predicted instead of which: the confusion matrix."""

from dataclasses import asdict, dataclass
from typing import Any

from softtargets.evaluate.suite import MetricSuite

# Classes up to which the page shows the whole matrix.
MOST_SHOWN = 20
_TOP = 10


@dataclass(frozen=True)
class ConfusedPair:
    """Rows of class `label` that are predicted as class `predicted`: their number, and their share of the class."""

    label: int
    predicted: int
    count: int
    share: float


@dataclass(frozen=True)
class ConfusionTable:
    """The confusion matrix.

    Args:
        counts: one row for each label and one column for each predicted class: numbers of rows.
    """

    counts: tuple[tuple[int, ...], ...]

    def pairs(self, most: int | None = None) -> tuple[ConfusedPair, ...]:
        """Return the pairs of different classes with at least one row, the most frequent first, ties by class."""
        found = [
            ConfusedPair(label, predicted, count, count / sum(row))
            for label, row in enumerate(self.counts)
            for predicted, count in enumerate(row)
            if count and predicted != label
        ]
        return tuple(sorted(found, key=lambda pair: (-pair.count, pair.label, pair.predicted))[:most])

    @property
    def top(self) -> tuple[ConfusedPair, ...]:
        """The ten most frequent confusions."""
        return self.pairs(_TOP)

    def to_dict(self) -> list[dict[str, Any]]:
        """Return the most frequent confusions. The whole matrix is in ``confusion.csv``."""
        return [asdict(pair) for pair in self.top]


def confusion_of(suite: MetricSuite) -> ConfusionTable | None:
    """Return the confusion matrix; None for more than 1,000 classes, and for tokens."""
    matrix = suite.counts.confusion()
    return None if matrix is None or suite.tokens else ConfusionTable(tuple(map(tuple, matrix.long().tolist())))
