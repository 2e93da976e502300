"""What a review found."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from softtargets.audit.estimates import IntervalEstimate
from softtargets.audit.results import AuditResults
from softtargets.audit.review.pooling import ReviewerAgreement
from softtargets.report.encoding import finite


@dataclass(frozen=True)
class SuspectReview:
    """The suspects on which people decided.

    Args:
        rows: their number.
        wrong: number of those whose given label was wrong, according to people.
        expected: number that the audit expected to be wrong, with its interval. The interval allows for chance and for
            the range of the noise rate.
        suggested: number of the wrong ones whose suggested label was right.
    """

    rows: int
    wrong: int
    expected: IntervalEstimate
    suggested: int


@dataclass(frozen=True)
class RandomReview:
    """The random rows on which people decided.

    Args:
        rows: their number.
        wrong: number of those whose given label was wrong.
        rate: estimated share of wrong labels among all labels that were not exported as suspects, before the review,
            with its 95 % interval.
        size: number of these labels.
        left: share of all labels that are still wrong after the corrections: those that the rate implies, and those
            that are expected among suspects without a decision.
    """

    rows: int
    wrong: int
    rate: IntervalEstimate
    size: int
    left: IntervalEstimate


@dataclass(frozen=True, eq=False, repr=False)
class ReviewOutcome:
    """The results of :func:`~softtargets.audit.import_review`.

    Args:
        folder: with `reviewed.csv`, `corrected.csv`, `review.json`, and the files of the second audit.
        reviewers: names of the people.
        decided: number of rows with a decision.
        changed: number of these rows whose label was changed.
        unsure: number of rows whose class nobody could tell; their labels stay.
        disputed: number of rows on which people disagreed; their labels stay.
        suspects: the suspects among the decided rows; None if there is none.
        random: the random rows among them; None for fewer than 20.
        agreement: of several people; None without rows that two of them reviewed.
        before: noise rate that the first audit estimated.
        left: share of all labels that are still wrong after the corrections, by the second audit: reviewed labels are
            right. None without a second audit. The random rows, if there are any, give a better estimate, which does
            not depend on a model.
        audit: the second audit; None if it was not wanted.
    """

    folder: Path
    reviewers: tuple[str, ...]
    decided: int
    changed: int
    unsure: int
    disputed: int
    suspects: SuspectReview | None
    random: RandomReview | None
    agreement: ReviewerAgreement | None
    before: IntervalEstimate
    left: IntervalEstimate | None = None
    audit: AuditResults | None = None

    def __repr__(self) -> str:
        found = f"{self.decided:,} labels reviewed, {self.changed:,} changed"
        if self.suspects is not None:
            ends = f"[{self.suspects.expected.low:.0f}, {self.suspects.expected.high:.0f}]"
            expected = f"{self.suspects.expected.estimate:.0f} {ends}"
            found += f"; {self.suspects.wrong:,} of {self.suspects.rows:,} suspects wrong, expected {expected}"
        return f"ReviewOutcome({found}, folder='{self.folder}')"

    def to_dict(self) -> dict[str, Any]:
        """Return the content of ``review.json``."""
        parts = ("suspects", "random", "agreement", "before", "left")
        numbers = ("decided", "changed", "unsure", "disputed")
        return finite(
            {
                "reviewers": list(self.reviewers),
                **{name: getattr(self, name) for name in numbers},
                **{name: None if (part := getattr(self, name)) is None else asdict(part) for name in parts},
            }
        )
