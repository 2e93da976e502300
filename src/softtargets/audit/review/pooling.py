"""Decisions of several people on the same rows."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from softtargets.audit.estimates import IntervalEstimate
from softtargets.audit.review.decisions import Decision
from softtargets.audit.review.items import RANDOM
from softtargets.noise import annotator_agreement


@dataclass(frozen=True)
class ReviewerAgreement:
    """The agreement of the people who reviewed the same rows.

    Args:
        rows: number of rows with labels of at least two people.
        observed: share of the pairs of labels of one row that agree.
        alpha: Krippendorff's alpha, with its interval.
    """

    rows: int
    observed: float
    alpha: IntervalEstimate


@dataclass(frozen=True)
class PooledDecisions:
    """One decision for each row.

    Args:
        labels: the class of each row on which a majority agrees, in ascending order of the rows.
        random: rows that were drawn at random.
        exported: largest number of suspects that were exported together; 0 if no file says it.
        unsure: number of rows whose class nobody could tell.
        disputed: number of rows without a majority for one class.
        reviewers: names of the people.
        agreement: None without two people who gave labels to the same row.
    """

    labels: dict[int, int]
    random: frozenset[int]
    exported: int
    unsure: int
    disputed: int
    reviewers: tuple[str, ...]
    agreement: ReviewerAgreement | None


def pool(decisions: Sequence[Decision], num_classes: int, seed: int) -> PooledDecisions:
    """Take the class that most people chose. Of two decisions of one person on one row, the later one counts.

    People who could not tell the class do not vote. A row is disputed if two classes have the most votes.

    Args:
        decisions: in the order of the files.
        num_classes: K.
        seed: of the bootstrap of the agreement's interval.
    """
    last = {(one.row, one.reviewer): one.label for one in decisions}
    votes: dict[int, Counter[int]] = {row: Counter() for row, _ in sorted(last)}
    for (row, _), label in last.items():
        if label is not None:
            votes[row][label] += 1
    labels, unsure, disputed = {}, 0, 0
    for row, counts in votes.items():
        ranked = counts.most_common(2)
        if not ranked:
            unsure += 1
        elif len(ranked) == 2 and ranked[0][1] == ranked[1][1]:
            disputed += 1
        else:
            labels[row] = ranked[0][0]
    return PooledDecisions(
        labels=labels,
        random=frozenset(one.row for one in decisions if one.drawn == RANDOM),
        exported=max((one.exported for one in decisions), default=0),
        unsure=unsure,
        disputed=disputed,
        reviewers=tuple(dict.fromkeys(one.reviewer for one in decisions)),
        agreement=_agreement(last, num_classes, seed),
    )


def _agreement(last: dict[tuple[int, str], int | None], num_classes: int, seed: int) -> ReviewerAgreement | None:
    rows, people = sorted({row for row, _ in last}), sorted({person for _, person in last})
    row_places = {row: place for place, row in enumerate(rows)}
    person_places = {person: place for place, person in enumerate(people)}
    labels = torch.full((len(rows), len(people)), -1)
    for (row, person), label in last.items():
        labels[row_places[row], person_places[person]] = -1 if label is None else label
    if not bool(((labels >= 0).sum(1) >= 2).any()):
        return None
    generator = torch.Generator().manual_seed(seed)
    found = annotator_agreement(labels, num_classes=num_classes, generator=generator)
    low, high = found.alpha_interval.tolist()
    return ReviewerAgreement(found.items, float(found.observed), IntervalEstimate(float(found.alpha), low, high))
