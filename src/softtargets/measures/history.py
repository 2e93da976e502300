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
)
