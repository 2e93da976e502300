"""What people found, compared with what the audit expected."""

import torch
from torch import Tensor

from softtargets.audit.estimates import IntervalEstimate
from softtargets.audit.review.folder import AuditFolder
from softtargets.audit.review.pooling import PooledDecisions
from softtargets.audit.review.results import RandomReview, SuspectReview
from softtargets.audit.trusted import CONFIDENCE, LEAST
from softtargets.noise import expected_wrong
from softtargets.noise.streaming.trusted import correct_rate


def compare_suspects(audit: AuditFolder, found: PooledDecisions) -> SuspectReview | None:
    """Compare the number of wrong labels among the decided rows that were not drawn at random with its expectation.

    Rows that had been reviewed before the audit are left out. None without any other row.
    """
    rows = _rows(audit, found, drawn_at_random=False)
    if not len(rows):
        return None
    labels = torch.tensor([found.labels[row] for row in rows.tolist()])
    wrong = labels != audit.given[rows]
    # the probabilities of all labels that were audited, whose mean is the noise rate
    open_rows = (~audit.reviewed).nonzero()[:, 0]
    order = torch.searchsorted(open_rows, rows)
    rate = audit.content["noise_rate"]
    expected = expected_wrong(
        audit.wrong[open_rows],
        order,
        noise_rate=rate["estimate"],
        noise_rate_interval=(rate["low"], rate["high"]),
        confidence=CONFIDENCE,
    )
    ends = (float(values[-1]) for values in (expected.expected, expected.low, expected.high))
    taken = int((wrong & (labels == audit.suggested[rows])).sum())
    return SuspectReview(len(rows), int(wrong.sum()), IntervalEstimate(*ends), taken)


def compare_random(audit: AuditFolder, found: PooledDecisions) -> RandomReview | None:
    """Estimate the share of wrong labels among those that were not exported as suspects, from the random rows.

    None for fewer than 20 random rows with a decision.
    """
    rows = _rows(audit, found, drawn_at_random=True)
    if len(rows) < LEAST:
        return None
    others = ~audit.reviewed
    others[audit.suspects[: found.exported]] = False
    wrong = torch.tensor([found.labels[row] for row in rows.tolist()]) != audit.given[rows]
    size = int(others.sum())
    ends = correct_rate(
        audit.wrong[rows],
        wrong.double(),
        mean=float(audit.wrong[others].mean()),
        size=size,
        confidence=CONFIDENCE,
    )
    undecided = audit.suspects[: found.exported]
    undecided = undecided[~torch.isin(undecided, torch.tensor(list(found.labels)))]
    more = float(audit.wrong[undecided].sum()) - int(wrong.sum())
    left = (max(end * size + more, 0.0) / audit.num_rows for end in ends)
    return RandomReview(len(rows), int(wrong.sum()), IntervalEstimate(*ends), size, IntervalEstimate(*left))


def _rows(audit: AuditFolder, found: PooledDecisions, *, drawn_at_random: bool) -> Tensor:
    """Return the decided rows that were audited, ascending."""
    rows = [row for row in sorted(found.labels) if (row in found.random) == drawn_at_random]
    chosen = torch.tensor(rows, dtype=torch.int64)
    return chosen[~audit.reviewed[chosen]]
