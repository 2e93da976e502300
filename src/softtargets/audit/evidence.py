"""Held-out predictions and labels of an audit, and whether the predictions are better than guessing."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

CHUNK_ROWS = 100_000


@dataclass(frozen=True, eq=False)
class LabelEvidence:
    """Held-out predictions and labels.

    Args:
        probs: (N, K) float, held-out probabilities.
        labels: (N,) int64, the audited labels.
        class_names: one for each class.
        dynamics: (N,) by name, training dynamics; empty if the predictions were given.
        reference: (N,) int64, labels that are used only to evaluate the audit, or None.
    """

    probs: Tensor
    labels: Tensor
    class_names: tuple[str, ...]
    dynamics: dict[str, Tensor] = field(default_factory=dict)
    reference: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def wrong(self) -> Tensor | None:
        """(N,) bool: whether a label differs from the reference; None without a reference."""
        return None if self.reference is None else self.reference != self.labels

    def chunks(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield probabilities and labels in chunks of rows."""
        return zip(self.probs.split(CHUNK_ROWS), self.labels.split(CHUNK_ROWS), strict=True)


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


def measure_agreement(evidence: LabelEvidence) -> Agreement:
    """Compare the predicted classes with the labels, and with guessing the most frequent label."""
    size = len(evidence)
    agreed = sum(int((probs.argmax(1) == labels).sum()) for probs, labels in evidence.chunks())
    largest = int(torch.bincount(evidence.labels).max()) / size
    return Agreement(agreed / size, largest, _binomial_tail(agreed, largest, size))


def _binomial_tail(least: int, probability: float, trials: int) -> float:
    """Return the probability of at least `least` successes."""
    binomial = torch.distributions.Binomial(trials, torch.tensor(probability, dtype=torch.float64))
    return float(binomial.log_prob(torch.arange(least, trials + 1, dtype=torch.float64)).logsumexp(0).exp())
