"""Measures of a run's history: losses and accuracies by epoch, speed of learning, final loss."""

from functools import partial

from softtargets.measures.registry import Measure, history_traces, measure
from softtargets.runs.record import Record

SPEEDS = (80, 90, 95, 98)


def _epochs_to(record: Record, percent: int) -> float | None:
    rows = [row for row in record.history if "validation_accuracy" in row]
    return next((float(row["epoch"]) for row in rows if row["validation_accuracy"] >= percent / 100), None)


for _percent in SPEEDS:
    measure(
        f"epochs.validation{_percent}",
        label=f"epochs to {_percent} %",
        unit="epochs",
        describes=f"First epoch after which the accuracy on the observed validation labels is at least {_percent} %; "
        "none if it is never reached.",
    )(partial(_epochs_to, percent=_percent))


@measure("train.objective", label="training loss", unit="nats")
def objective_of_last_epoch(record: Record) -> float | None:
    """Mean of the training objective over the batches of the last epoch."""
    return float(record.history[-1]["objective"]) if record.history else None


@measure("train.pseudo_labels", label="pseudo-labels used", unit="percent", bounds=(0.0, 1.0))
def pseudo_labels_of_last_epoch(record: Record) -> float | None:
    """Share of the unlabelled rows of the last epoch whose pseudo-label was used; none without pseudo-labels."""
    return _of_last_epoch(record, "pseudo_labels")


@measure("train.pseudo_label_accuracy", label="pseudo-labels that are right", unit="percent", bounds=(0.0, 1.0))
def pseudo_label_accuracy_of_last_epoch(record: Record) -> float | None:
    """Share of the pseudo-labels used in the last epoch that agree with the hidden label; none where it is unknown."""
    return _of_last_epoch(record, "pseudo_label_accuracy")


def _of_last_epoch(record: Record, name: str) -> float | None:
    return float(record.history[-1][name]) if record.history and name in record.history[-1] else None


history_traces(
    Measure("objective", "training loss", "nats", "Mean of the training objective over the batches of an epoch."),
    Measure(
        "validation_accuracy",
        "validation accuracy",
        "percent",
        "Accuracy on the validation split, against the observed labels.",
    ),
    Measure(
        "validation_nll",
        "validation NLL",
        "nats",
        "Mean negative log-likelihood of the observed labels of the validation split.",
    ),
    Measure(
        "validation_votes_accuracy",
        "validation accuracy against the votes",
        "percent",
        "Mean share of the votes of the validation split that are for the predicted class.",
    ),
    Measure(
        "validation_votes_nll",
        "validation NLL against the votes",
        "nats",
        "Cross entropy of the predictions for the validation split against the shares of votes.",
    ),
    Measure(
        "pseudo_labels",
        "pseudo-labels used",
        "percent",
        "Share of the unlabelled rows of an epoch whose pseudo-label was used.",
    ),
    Measure(
        "pseudo_label_accuracy",
        "pseudo-labels that are right",
        "percent",
        "Share of the used pseudo-labels of an epoch that agree with the hidden label.",
    ),
)
