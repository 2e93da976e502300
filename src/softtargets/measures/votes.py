"""Scores against the votes of several annotators, and the best that any predictions can reach.

A score of a row is the expected one of a label that is drawn from its votes. The other measures of a run whose labels
are votes use the most frequent class of each row as its label.
"""

from collections.abc import Callable
from functools import partial

from torch import Tensor

from softtargets.measures.registry import Unit, measure
from softtargets.metrics import accuracy, brier, ece, label_uncertainty, nll
from softtargets.runs.record import Record

SPLITS = ("validation", "test")
N_BINS = 15


def _accuracy(logits: Tensor, votes: Tensor) -> Tensor:
    return accuracy(logits=logits, labels=votes)


def _nll(logits: Tensor, votes: Tensor) -> Tensor:
    return nll(logits=logits, labels=votes)


def _divergence(logits: Tensor, votes: Tensor) -> Tensor:
    return _nll(logits, votes) - label_uncertainty(votes).nll


def _brier(logits: Tensor, votes: Tensor) -> Tensor:
    return brier(logits=logits, labels=votes)


def _ece(logits: Tensor, votes: Tensor) -> Tensor:
    return ece(logits=logits, labels=votes, n_bins=N_BINS)


def _best_accuracy(_: Tensor, votes: Tensor) -> Tensor:
    return 1 - label_uncertainty(votes).error


def _least_nll(_: Tensor, votes: Tensor) -> Tensor:
    return label_uncertainty(votes).nll


def _least_brier(_: Tensor, votes: Tensor) -> Tensor:
    return label_uncertainty(votes).brier


def _of_split(record: Record, split: str, score: Callable[[Tensor, Tensor], Tensor]) -> float | None:
    """Return a score of a split; None if labels are not votes, or the split is empty."""
    votes = record.predictions.get(f"{split}.votes")
    if votes is None or len(votes) == 0:
        return None
    return float(score(record.predictions[f"{split}.logits"], votes))


# name, label, unit, definition, (logits, votes) -> value
_SCORES: tuple[tuple[str, str, Unit, str, Callable[[Tensor, Tensor], Tensor]], ...] = (
    ("accuracy", "accuracy", "percent", "Mean share of the votes of a row for its predicted class", _accuracy),
    ("best_accuracy", "accuracy, best possible", "percent", "Mean share of the most frequent class", _best_accuracy),
    ("nll", "NLL", "nats", "Cross entropy of the predictions against the shares of votes", _nll),
    ("least_nll", "NLL, least possible", "nats", "Mean entropy of the shares of votes", _least_nll),
    (
        "divergence",
        "divergence",
        "nats",
        "Mean Kullback-Leibler divergence from the shares of votes to the predictions",
        _divergence,
    ),
    ("brier", "Brier score", "fraction", "Expected Brier score of a label that is drawn from the votes", _brier),
    (
        "least_brier",
        "Brier score, least possible",
        "fraction",
        "Mean probability that two labels drawn from the votes of a row differ",
        _least_brier,
    ),
    (
        "ece",
        "ECE",
        "fraction",
        f"Expected calibration error in {N_BINS} bins of equal width, of the confidence against the share of votes",
        _ece,
    ),
)

for _split in SPLITS:
    for _name, _label, _unit, _text, _score in _SCORES:
        measure(
            f"{_split}.votes.{_name}",
            label=f"{_split}, against the votes: {_label}",
            unit=_unit,
            describes=f"{_text}, on the {_split} split; defined where labels are votes.",
        )(partial(_of_split, split=_split, score=_score))
