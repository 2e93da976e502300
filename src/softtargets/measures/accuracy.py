"""Test accuracy at the last epoch, top-k accuracy, and accuracy at the epoch selected on the validation split."""

from functools import partial

from torch import Tensor

from softtargets.measures.registry import measure
from softtargets.metrics import accuracy
from softtargets.runs.record import Record

# Numbers of classes k for which the top-k accuracy is measured.
TOP = (3, 5)


def accuracy_on(
    record: Record, split: str, *, labels: str = "labels", rows: Tensor | None = None, epoch: str = ""
) -> float | None:
    """Return the accuracy on a split; None if the split is empty or the run did not record that epoch.

    Args:
        record: record of the run.
        split: "train", "validation" or "test".
        labels: "labels" for the true labels, "observed" for the labels that the run was given.
        rows: (N,) bool, the examples to include. Default: all.
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
    """Accuracy on the test split, against the true labels."""
    return accuracy_on(record, "test")


@measure("test.error", label="test error", unit="percent")
def error_of_test(record: Record) -> float | None:
    """Share of the test split that is misclassified."""
    reached = accuracy_on(record, "test")
    return None if reached is None else 1 - reached


def _top(record: Record, k: int) -> float | None:
    logits, labels = record.predictions["test.logits"], record.predictions["test.labels"]
    if logits.shape[1] <= k or len(labels) == 0:
        return None
    return float(accuracy(logits=logits, labels=labels, top_k=k))


for _k in TOP:
    measure(
        f"test.top{_k}_accuracy",
        label=f"test accuracy, top {_k}",
        unit="percent",
        describes=f"Share of the test split whose true label is among the {_k} classes with the largest logits; "
        f"defined for more than {_k} classes.",
    )(partial(_top, k=_k))


@measure("selected.test.accuracy", label="test accuracy, selected epoch", unit="percent")
def accuracy_of_selected_epoch(record: Record) -> float | None:
    """Test accuracy at the epoch with the highest accuracy on the observed labels of the validation split."""
    return accuracy_on(record, "test", epoch="selected.")


@measure("selected.validation.accuracy", label="validation accuracy, selected epoch", unit="percent")
def validation_accuracy_of_selected_epoch(record: Record) -> float | None:
    """Accuracy of the selected epoch on the observed labels that selected it; biased upwards by the selection."""
    return accuracy_on(record, "validation", labels="observed", epoch="selected.")
