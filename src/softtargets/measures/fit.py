"""Accuracy and NLL on the validation split, and accuracy on the clean and noisy parts of the training split."""

from torch import Tensor

from softtargets.measures.accuracy import accuracy_on
from softtargets.measures.registry import measure
from softtargets.metrics import nll
from softtargets.runs.record import Predictions, Record


def mislabelled(predictions: Predictions) -> Tensor:
    """Return which training examples have a wrong label, (N,) bool."""
    return predictions["train.labels"] != predictions["train.observed"]


@measure("validation.accuracy", label="validation accuracy", unit="percent")
def accuracy_of_validation(record: Record) -> float | None:
    """Accuracy on the validation split, against the observed labels."""
    return accuracy_on(record, "validation", labels="observed")


@measure("validation.nll", label="validation NLL", unit="nats")
def nll_of_validation(record: Record) -> float | None:
    """Mean negative log-likelihood of the observed labels of the validation split."""
    logits, labels = record.predictions["validation.logits"], record.predictions["validation.observed"]
    return float(nll(logits=logits.double(), labels=labels)) if len(labels) else None


@measure("train.accuracy", label="all training examples, true labels", unit="percent")
def accuracy_of_train(record: Record) -> float | None:
    """Accuracy on all training examples, against their true labels."""
    return accuracy_on(record, "train")


@measure("clean.accuracy", label="clean part, true labels", unit="percent")
def accuracy_of_clean_part(record: Record) -> float | None:
    """Accuracy on the training examples with a right label."""
    return accuracy_on(record, "train", rows=~mislabelled(record.predictions))


@measure("noisy.accuracy", label="noisy part, true labels", unit="percent")
def accuracy_of_noisy_part(record: Record) -> float | None:
    """Accuracy on the mislabelled training examples, against their true labels."""
    return accuracy_on(record, "train", rows=mislabelled(record.predictions))


@measure("noisy.fit", label="noisy part, noisy labels", unit="percent")
def fit_of_noisy_part(record: Record) -> float | None:
    """Accuracy on the mislabelled training examples, against their wrong labels."""
    return accuracy_on(record, "train", labels="observed", rows=mislabelled(record.predictions))
