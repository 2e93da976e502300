"""The ranking of the labels: order, probability of being wrong, and number of wrong labels at each cutoff."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets import noise
from softtargets.audit.evidence import CHUNK_ROWS, LabelEvidence
from softtargets.audit.results import IntervalEstimate, RankCutoff, Suspects
from softtargets.audit.scores import RANKED_BY
from softtargets.audit.transitions import CONFIDENCE
from softtargets.noise import ExpectedWrong, TransitionInterval

CURVE_POINTS = 100


@dataclass(frozen=True, eq=False)
class RankedLabels:
    """All labels, most suspect first.

    Args:
        order: (N,) int64 rows.
        wrong: (N,) float64 in the same order, estimated probability that the label is wrong.
        expected: estimated number of wrong labels among the first ones.
    """

    order: Tensor
    wrong: Tensor
    expected: ExpectedWrong

    def share_above(self, probability: float) -> float:
        """Return the estimated share of the wrong labels whose probability of being wrong is at least this."""
        total = self.wrong.sum().clamp(min=torch.finfo(self.wrong.dtype).tiny)
        return float(self.wrong[self.wrong >= probability].sum() / total)


def rank_labels(scores: dict[str, Tensor], interval: TransitionInterval) -> RankedLabels:
    """Order the labels by their posterior, and calibrate it so that its mean is the estimated noise rate."""
    posterior = scores[RANKED_BY]
    size = len(posterior)
    order = noise.suspect_order(posterior)
    expected = noise.expected_wrong(
        # Clamped to a resolution of one in N: a label with probability 1 would count as wrong at every noise rate.
        (1 - posterior.double()).clamp(0.5 / size, 1 - 0.5 / size),
        order,
        noise_rate=interval.noise_rate,
        noise_rate_interval=(interval.noise_rate_low, interval.noise_rate_high),
        confidence=CONFIDENCE,
    )
    wrong = expected.expected.diff(prepend=torch.zeros(1, dtype=torch.float64)).clamp(0, 1)
    return RankedLabels(order, wrong, expected)


def find_suspects(evidence: LabelEvidence, scores: dict[str, Tensor], ranked: RankedLabels) -> Suspects:
    """Return the labels that are more likely wrong than right, most suspect first."""
    chosen = ranked.wrong > 0.5
    rows = ranked.order[chosen]
    given = evidence.labels[rows]
    suggested = [
        # the given label is excluded, whatever its probability
        evidence.probs[part].scatter(1, labels[:, None], -1.0).argmax(1)
        for part, labels in zip(rows.split(CHUNK_ROWS), given.split(CHUNK_ROWS), strict=True)
    ]
    return Suspects(
        rows=rows,
        given=given,
        suggested=torch.cat(suggested),
        wrong=ranked.wrong[chosen].float(),
        scores={name: values[rows] for name, values in scores.items()},
        reference=None if evidence.reference is None else evidence.reference[rows],
    )


def estimate_cutoffs(evidence: LabelEvidence, ranked: RankedLabels) -> Iterator[RankCutoff]:
    """Yield the number of wrong labels among the first ones, at round numbers and along the whole ranking."""
    size, expected = len(evidence), ranked.expected
    round_ones = {step * 10**power for power in range(1, 12) for step in (1, 2, 5) if step * 10**power < size}
    even = {round(size * point / CURVE_POINTS) for point in range(1, CURVE_POINTS + 1)}
    true = None if evidence.wrong is None else evidence.wrong[ranked.order].cumsum(0)
    for first in sorted((round_ones | even | {1}) - {0}):
        ends = [float(values[first - 1]) for values in (expected.expected, expected.low, expected.high)]
        yield RankCutoff(first, IntervalEstimate(*ends), None if true is None else int(true[first - 1]))
