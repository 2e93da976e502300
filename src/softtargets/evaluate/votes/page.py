"""What the page shows of votes, and the file with one line for each row."""

import csv
import io
import math
from typing import NamedTuple

from softtargets.evaluate.catalog import METRICS
from softtargets.evaluate.cells import Footnotes, MetricCell, MetricRow, cell_of
from softtargets.evaluate.results import EvaluatedModel, EvaluationResults
from softtargets.evaluate.text import range_of, temperatures_of, text_of
from softtargets.evaluate.votes.results import VoteEvaluation, VoteScores
from softtargets.evaluate.votes.suite import NAMES
from softtargets.report import encoding


class EntropyCell(NamedTuple):
    """A range of entropies in nats, and the number of rows in it."""

    low: float
    high: float
    rows: int


class VotesSection(NamedTuple):
    """The votes of one model: a table, and the temperatures of its columns."""

    model: EvaluatedModel
    rows: tuple[MetricRow, ...]
    by_votes: str
    by_majority: str


def shown_votes(model: EvaluatedModel, notes: Footnotes) -> VotesSection | None:
    """Return what the page shows of a model's scores against votes; None without votes."""
    votes = model.votes
    if votes is None:
        return None
    scaled = (votes.by_votes, votes.by_majority)
    columns = [votes.scores, *(one.scores for one in scaled if one is not None)]
    rows = [
        MetricRow(
            METRICS[name].label,
            "",
            (
                cell_of(model.metric(name), notes),
                *(cell_of(scores.metric(name), notes) for scores in columns),
                MetricCell(votes.least[name], text_of(votes.least[name], METRICS[name].unit), ""),
            ),
        )
        for name in NAMES
    ]
    rows.append(
        MetricRow("KL divergence", "", (None, *(_divergence(scores) for scores in columns), MetricCell(0.0, "0", "")))
    )
    temperatures = ("" if one is None else temperatures_of(one.temperatures) for one in scaled)
    return VotesSection(model, tuple(rows), *temperatures)


def entropy_cells(votes: VoteEvaluation, num_classes: int) -> tuple[EntropyCell, ...]:
    """Return the number of rows by the entropy of their votes."""
    width = math.log(num_classes) / len(votes.entropies)
    return tuple(EntropyCell(i * width, (i + 1) * width, rows) for i, rows in enumerate(votes.entropies))


def votes_csv(results: EvaluationResults) -> bytes:
    """Return one line for each row: its label, the entropy of its votes, and the scores of every model."""
    rows = results.vote_rows
    assert rows is not None
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [encoding.escape_csv_formula(model.name) for model in results.models]
    own = [f"{name} {column}" for name in names for column in ("predicted", "agreement", "nll")]
    writer.writerow(["row", "label", "share", "entropy", *own])
    columns = [rows.ids, rows.labels, rows.share, rows.entropy]
    for one in zip(rows.predicted, rows.agreement, rows.nll, strict=True):
        columns += one
    writer.writerows(zip(*(column.tolist() for column in columns), strict=True))
    return text.getvalue().encode()


def _divergence(scores: VoteScores) -> MetricCell:
    return MetricCell(
        scores.divergence, text_of(scores.divergence, "nats"), range_of(scores.divergence_interval, "nats")
    )
