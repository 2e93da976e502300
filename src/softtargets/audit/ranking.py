"""The ranking of the labels: order, probability of being wrong, and number of wrong labels at each cutoff."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from softtargets import noise
from softtargets.audit.evidence import LabelEvidence
from softtargets.audit.results import IntervalEstimate, RankCutoff, Suspects
from softtargets.audit.scores import RANKED_BY, other_scores, posterior_of
from softtargets.audit.transitions import CONFIDENCE
from softtargets.noise import ConfidentJoint, TransitionInterval
from softtargets.noise.streaming.blocks import LabelledBlock
from softtargets.noise.streaming.ranking import LowestRows, ScoreCounts, WrongCurve

CURVE_POINTS = 100
# Largest number of suspects that are listed.
MOST_SUSPECTS = 5_000_000


@dataclass(frozen=True, eq=False)
class RankedLabels:
    """The ranking of all labels, and the labels that are listed as suspects.

    Args:
        curve: the probabilities of being wrong along the ranking.
        suspects: the first suspects, most suspect first.
        num_suspects: number of labels that are more likely wrong than right.
        scores: (N,) float32 by name, all scores in the order of the rows; empty without reference labels.
    """

    curve: WrongCurve
    suspects: Suspects
    num_suspects: int
    scores: dict[str, Tensor] = field(default_factory=dict)


class RankingPass:
    """The scores of labels in blocks of rows. The state is the counts of scores, and the rows that may be suspects.

    A suspect is wrong with a probability above 1/2, and the probabilities of all N labels sum to N times the noise
    rate, so at most 2 N times the noise rate are suspects.

    Args:
        joint: the confident joint.
        num_rows: N.
        keep: whether to keep all scores, which reference labels need.
    """

    def __init__(self, joint: ConfidentJoint, num_rows: int, *, keep: bool = False) -> None:
        # the last ones cover rounding
        most = min(num_rows, MOST_SUSPECTS, int(2.0001 * joint.noise_rate * num_rows) + 2)
        self._joint = joint
        self._counts, self._lowest = ScoreCounts(), LowestRows(most)
        self._kept: list[dict[str, Tensor]] | None = [] if keep else None

    def add(self, block: LabelledBlock) -> None:
        """Add a block."""
        posterior = posterior_of(block, self._joint)
        self._counts.add(posterior)
        if self._kept is not None:
            self._kept.append({RANKED_BY: posterior, **other_scores(block, self._joint)[0]})

        def columns(chosen: Tensor) -> dict[str, Tensor]:
            some = LabelledBlock(block.probs[chosen], block.labels[chosen], 0)
            scores, suggested = other_scores(some, self._joint)
            rows = {"row": chosen + block.first_row, "given": some.labels.int(), "suggested": suggested.int()}
            return {**rows, **scores}

        self._lowest.add(posterior, columns)

    def finish(self, interval: TransitionInterval, evidence: LabelEvidence) -> RankedLabels:
        """Calibrate the probabilities of being wrong, so that their mean is the estimated noise rate."""
        posterior, counts = self._counts.compute()
        curve = WrongCurve.of(
            posterior,
            counts,
            rate=interval.noise_rate,
            rate_interval=(interval.noise_rate_low, interval.noise_rate_high),
            confidence=CONFIDENCE,
        )
        found = self._lowest.compute()
        wrong = curve.wrong[self._counts.places(found["score"])]
        chosen = {name: values[wrong > 0.5] for name, values in {**found, "wrong": wrong}.items()}
        rows = chosen["row"]
        names = [name for name in found if name not in ("row", "given", "suggested", "score")]
        dynamics = {name: _as_score(name, values) for name, values in evidence.dynamics.items()}
        suspects = Suspects(
            rows=rows,
            given=chosen["given"].long(),
            suggested=chosen["suggested"].long(),
            wrong=chosen["wrong"].float(),
            scores={
                RANKED_BY: chosen["score"],
                **{name: chosen[name] for name in names},
                **{name: values[rows] for name, values in dynamics.items()},
            },
            reference=None if evidence.reference is None else evidence.reference[rows],
        )
        kept = self._kept or []
        scores = {name: torch.cat([part[name] for part in kept]) for name in (kept[0] if kept else ())}
        return RankedLabels(curve, suspects, int(counts[curve.wrong > 0.5].sum()), scores | (dynamics if kept else {}))


def _as_score(name: str, dynamics: Tensor) -> Tensor:
    """Return training dynamics such that low values indicate wrong labels."""
    return (-dynamics if name == "forgetting" else dynamics).float()


def estimate_cutoffs(ranked: RankedLabels, wrong: Tensor | None) -> Iterator[RankCutoff]:
    """Yield the number of wrong labels among the first ones, at round numbers and along the whole ranking.

    Args:
        ranked: the ranking.
        wrong: (N,) bool, whether each label is wrong according to the reference; None without one.
    """
    size = int(ranked.curve.counts.sum())
    round_ones = {step * 10**power for power in range(1, 12) for step in (1, 2, 5) if step * 10**power < size}
    even = {round(size * point / CURVE_POINTS) for point in range(1, CURVE_POINTS + 1)}
    firsts = sorted((round_ones | even | {1}) - {0})
    true = None if wrong is None else wrong[noise.suspect_order(ranked.scores[RANKED_BY])].cumsum(0)
    expected = ranked.curve.at(torch.tensor(firsts))
    for first, *ends in zip(
        firsts, *(v.tolist() for v in (expected.expected, expected.low, expected.high)), strict=True
    ):
        yield RankCutoff(first, IntervalEstimate(*ends), None if true is None else int(true[first - 1]))
