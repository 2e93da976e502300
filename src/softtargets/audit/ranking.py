"""The ranking of the labels: order, probability of being wrong, and number of wrong labels at each cutoff."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from softtargets import noise
from softtargets.audit.checked import CheckedLabels
from softtargets.audit.estimates import IntervalEstimate
from softtargets.audit.evidence import LabelEvidence
from softtargets.audit.rate import LabelSample
from softtargets.audit.results import RankCutoff, Suspects
from softtargets.audit.rows import SUGGESTED, WRONG
from softtargets.audit.scores import RANKED_BY, other_scores, posterior_of
from softtargets.audit.transitions import CONFIDENCE
from softtargets.audit.trusted import TrustedLabels, bound_range, correct_range
from softtargets.noise import ConfidentJoint, NoiseRange
from softtargets.noise.streaming.blocks import LabelledBlock
from softtargets.noise.streaming.ranking import LowestRows, ScoreCounts, WrongCurve

CURVE_POINTS = 100
# Largest number of suspects that are listed.
MOST_SUSPECTS = 5_000_000


@dataclass(frozen=True, eq=False)
class RankedLabels:
    """The ranking of all labels, and the labels that are listed as suspects.

    Args:
        rate: the range of the noise rate, corrected by checked labels if there are any.
        curve: the probabilities of being wrong along the ranking of the labels that were not reviewed.
        suspects: the first suspects, most suspect first.
        num_suspects: number of suspects, including those that are not listed.
        judge: returns the columns of :class:`~softtargets.audit.rows.AuditedRows` of a block of rows.
        scores: (U,) float32 by name, all scores in the order of the rows that were not reviewed; empty without
            reference labels.
    """

    rate: NoiseRange
    curve: WrongCurve
    suspects: Suspects
    num_suspects: int
    judge: Callable[[LabelledBlock], dict[str, Tensor]]
    scores: dict[str, Tensor] = field(default_factory=dict)


class RankingPass:
    """The scores of labels in blocks of rows. The state is the counts of scores, and the rows that may be suspects.

    The suspects are the first labels of the ranking, as many as give the largest expected F1, and at most 2 N times the
    noise rate. Of these, labels that are the predicted class are not suspects. There is none if less than half a wrong
    label is expected.

    Args:
        joint: the confident joint.
        rate: the range of the noise rate, and the mixture that gives the scores.
        num_rows: N.
        keep: whether to keep all scores, which reference labels need.
        trusted: labels that were checked by hand, which correct the rate.
        reviewed: labels that people decided on. They are no suspects, and bound the rate.
    """

    def __init__(
        self,
        joint: ConfidentJoint,
        rate: NoiseRange,
        num_rows: int,
        *,
        keep: bool = False,
        trusted: TrustedLabels | None = None,
        reviewed: CheckedLabels | None = None,
    ) -> None:
        # labels that people decided on may raise the rate
        share = rate.estimate if trusted is None and reviewed is None else 0.5
        most = min(num_rows, MOST_SUSPECTS, int(2 * share * num_rows))
        self._trusted, self._checked = trusted, []
        self._reviewed, self._wrong, self._open = reviewed, 0, ScoreCounts()
        self._joint, self._rate = joint, rate
        self._counts, self._lowest = ScoreCounts(), LowestRows(most)
        self._kept: list[dict[str, Tensor]] | None = [] if keep else None

    def add(self, block: LabelledBlock) -> None:
        """Add a block."""
        posterior = posterior_of(block, self._rate.mixture)
        self._counts.add(posterior)
        if self._trusted is not None:
            chosen, wrong = self._trusted.within(block)
            self._checked.append((posterior[chosen], wrong))
        rows = self._unreviewed(block)
        self._open.add(posterior[rows])
        if self._kept is not None:
            scores = {RANKED_BY: posterior, **other_scores(block, self._joint)[0]}
            self._kept.append({name: values[rows] for name, values in scores.items()})

        def columns(places: Tensor) -> dict[str, Tensor]:
            chosen = rows[places]
            some = LabelledBlock(block.probs[chosen], block.labels[chosen], 0)
            scores, suggested = other_scores(some, self._joint)
            own = {"row": chosen + block.first_row, "given": some.labels.int(), "suggested": suggested.int()}
            return {**own, **scores}

        self._lowest.add(posterior[rows], columns)

    def _unreviewed(self, block: LabelledBlock) -> Tensor:
        """Return the rows of a block that were not reviewed, from 0, and count the wrong labels of the others."""
        if self._reviewed is None:
            return torch.arange(len(block))
        part = self._reviewed.places(block.first_row, len(block))
        places = self._reviewed.rows[part] - block.first_row
        self._wrong += int((block.labels[places] != self._reviewed.labels[part]).sum())
        return torch.ones(len(block), dtype=torch.bool).index_fill(0, places, False).nonzero()[:, 0]

    def finish(self, evidence: LabelEvidence) -> RankedLabels:
        """Calibrate the probabilities of being wrong, so that their mean is the estimated noise rate."""
        rate = self._rate
        posterior, counts = self._counts.compute()
        size = int(counts.sum())
        curve = _curve(posterior, counts, rate)
        if self._checked:
            checked, wrong = (torch.cat(parts) for parts in zip(*self._checked, strict=True))
            rate = correct_range(rate, curve.wrong[self._counts.places(checked)], wrong, size)
            curve = _curve(posterior, counts, rate)
        every = curve
        if self._reviewed is not None:
            right = len(self._reviewed) - self._wrong
            rate = bound_range(rate, self._wrong / size, 1 - right / size)
            every = _curve(posterior, counts, rate)
            curve, size = self._of_unreviewed(every), size - len(self._reviewed)
        found = self._lowest.compute()
        first = curve.best_cutoff(int(2 * rate.estimate * size))
        places = self._counts.places(found["score"])
        kept = torch.arange(len(places)) < first
        # a margin below 1/2: another class is more probable than the label
        kept &= found["normalized_margin"] < 0.5
        chosen = {name: values[kept] for name, values in {**found, "wrong": every.wrong[places]}.items()}
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

        def judge(block: LabelledBlock) -> dict[str, Tensor]:
            posterior = posterior_of(block, self._rate.mixture)
            scores, suggested = other_scores(block, self._joint)
            # the place of a score that was not counted, of a reviewed row, may be past the last one
            wrong_of = every.wrong[self._counts.places(posterior).clamp(max=len(every.wrong) - 1)]
            return {WRONG: wrong_of, SUGGESTED: suggested, RANKED_BY: posterior, **scores}

        parts = self._kept or []
        scores = {name: torch.cat([part[name] for part in parts]) for name in (parts[0] if parts else ())}
        # beyond the listed ones, it is not known which labels are the predicted class
        number = len(rows) + max(first - len(places), 0)
        still = torch.ones(0) if not parts else evidence.is_open(torch.arange(int(counts.sum())))
        dynamics = {name: values[still] for name, values in dynamics.items()} if parts else {}
        return RankedLabels(rate, curve, suspects, number, judge, scores | dynamics)

    def _of_unreviewed(self, every: WrongCurve) -> WrongCurve:
        """Return the part of a curve that belongs to the labels that were not reviewed."""
        posterior, counts = self._open.compute()
        places = self._counts.places(posterior).clamp(max=len(every.wrong) - 1)
        return WrongCurve(every.wrong[places], every.low[places], every.high[places], counts, every.confidence)


def _curve(posterior: Tensor, counts: Tensor, rate: NoiseRange) -> WrongCurve:
    ends = (rate.low, rate.high)
    return WrongCurve.of(posterior, counts, rate=rate.estimate, rate_interval=ends, confidence=CONFIDENCE)


def probability_wrong(probs: Tensor, labels: Tensor, seed: int) -> Tensor:
    """Return the probability that each label is wrong, (n,), as an audit of these rows alone would.

    Args:
        probs: (n, K) held-out probabilities.
        labels: (n,) int64.
        seed: seed of the sample from which the noise rate is estimated.
    """
    block, counts = LabelledBlock(probs, labels, 0), ScoreCounts()
    sample = LabelSample(len(labels), probs.shape[1], seed)
    sample.add(block)
    rate = sample.estimate()
    posterior = posterior_of(block, rate.mixture)
    counts.add(posterior)
    return _curve(*counts.compute(), rate).wrong[counts.places(posterior)]


def _as_score(name: str, dynamics: Tensor) -> Tensor:
    """Return training dynamics such that low values indicate wrong labels."""
    return (-dynamics if name == "forgetting" else dynamics).float()


def estimate_cutoffs(ranked: RankedLabels, wrong: Tensor | None) -> Iterator[RankCutoff]:
    """Yield the number of wrong labels among the first ones, at round numbers and along the whole ranking.

    Args:
        ranked: the ranking.
        wrong: (U,) bool, whether each label that was not reviewed is wrong according to the reference; None without
            one.
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
