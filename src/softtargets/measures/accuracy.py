"""Accuracy on the test split, of the last epoch and of the epoch that the validation split selects."""

from torch import Tensor

from softtargets.measures.registry import measure
from softtargets.metrics import accuracy
from softtargets.runs.record import Record


def accuracy_on(
    record: Record, split: str, *, labels: str = "labels", rows: Tensor | None = None, epoch: str = ""
) -> float | None:
    """Return the accuracy on a split; None without examples of it, or where the run recorded no such epoch.

    Args:
        record: of the run.
        split: "train", "validation" or "test".
        labels: "labels" for the true ones, "observed" for those that the run was given.
        rows: (N,) bool, the examples that count. Default: all.
        epoch: "selected." for the selected epoch. Default: the last.
    """
    logits = record.predictions.get(f"{epoch}{split}.logits")
    truth = record.predictions[f"{split}.{labels}"]
    if logits is not None and rows is not None:
        logits, truth = logits[rows], truth[rows]
    if logits is None or len(truth) == 0:
        return None
    return float(accuracy(logits=logits, labels=truth))


@measure("test.accuracy", label="test accuracy", unit="percent")
def accuracy_of_test(record: Record) -> float | None:
    """Accuracy on the test split, which is clean."""
    return accuracy_on(record, "test")


@measure("test.error", label="test error", unit="percent")
def error_of_test(record: Record) -> float | None:
    """Share of the test split that is predicted wrong."""
    reached = accuracy_on(record, "test")
    return None if reached is None else 1 - reached


@measure("selected.test.accuracy", label="test accuracy, selected epoch", unit="percent")
def accuracy_of_selected_epoch(record: Record) -> float | None:
    """Accuracy on the test split of the epoch that does best on the observed labels of the validation split."""
    return accuracy_on(record, "test", epoch="selected.")


@measure("selected.validation.accuracy", label="validation accuracy, selected epoch", unit="percent")
def validation_accuracy_of_selected_epoch(record: Record) -> float | None:
    """Accuracy of the selected epoch against the observed labels it was selected by: too high for that reason."""
    return accuracy_on(record, "validation", labels="observed", epoch="selected.")
