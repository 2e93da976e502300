"""Held-out predictions and labels of an audit, and whether the predictions are better than guessing."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from softtargets.audit.checked import CheckedLabels
from softtargets.noise.streaming.blocks import LabelledBlock


@dataclass(frozen=True, eq=False)
class LabelEvidence:
    """Held-out predictions and labels, which are read block by block.

    Args:
        blocks: yields all rows in order, with their labels as they were given; each time the same rows in each block.
            Its argument says whether the values must be checked, as in the first pass.
        class_names: one for each class.
        dynamics: (N,) by name, training dynamics; empty if the predictions were given.
        reference: (N,) int64, labels that are used only to evaluate the audit, or None.
        reviewed: labels that people decided on; None if there is none.
    """

    blocks: Callable[[bool], Iterator[LabelledBlock]]
    class_names: tuple[str, ...]
    dynamics: dict[str, Tensor] = field(default_factory=dict)
    reference: Tensor | None = None
    reviewed: CheckedLabels | None = None

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)

    def corrected(self, block: LabelledBlock) -> LabelledBlock:
        """Return a block with the labels that people decided on in place of those that were given."""
        if self.reviewed is None:
            return block
        return LabelledBlock(block.probs, self.reviewed.correct(block.labels, block.first_row), block.first_row)

    def is_open(self, rows: Tensor) -> Tensor:
        """Return which rows were not reviewed, (n,) bool."""
        if self.reviewed is None:
            return torch.ones(len(rows), dtype=torch.bool)
        return ~torch.isin(rows, self.reviewed.rows)


@dataclass(frozen=True)
class Agreement:
    """Agreement of the held-out predictions with the labels.

    Args:
        share: share of the labels that equal the predicted class.
        largest: share of the most frequent label.
        by_chance: probability that at least as many labels agree by chance, if each does with probability `largest`.
    """

    share: float
    largest: float
    by_chance: float


def measure_agreement(agreed: int, class_counts: Tensor) -> Agreement:
    """Compare the number of labels that equal the predicted class with guessing the most frequent label.

    Args:
        agreed: number of labels that equal the predicted class.
        class_counts: (K,) int64, numbers of labels.
    """
    size = int(class_counts.sum())
    largest = int(class_counts.max()) / size
    return Agreement(agreed / size, largest, _binomial_tail(agreed, largest, size))


# Terms of the binomial tail that are further from the largest one than this many standard deviations are left out.
_DEVIATIONS = 40


def _binomial_tail(least: int, probability: float, trials: int) -> float:
    """Return the probability of at least `least` successes."""
    mean = trials * probability
    # the constant is for means so small that the standard deviation says little about the tail
    far = _DEVIATIONS * math.sqrt(mean * (1 - probability)) + 1000
    first, last = max(least, math.floor(mean - far)), min(trials, math.ceil(max(mean, least) + far))
    binomial = torch.distributions.Binomial(trials, torch.tensor(probability, dtype=torch.float64))
    return float(binomial.log_prob(torch.arange(first, last + 1, dtype=torch.float64)).logsumexp(0).exp())
