"""Accuracy by class on the test split: its mean over classes, over classes by their training examples, and macro-F1."""

from functools import partial

import torch
from torch import Tensor

from softtargets.measures.registry import measure
from softtargets.runs.record import Predictions, Record

# Classes by their number of training examples, as in the protocol of ImageNet-LT (Liu et al. 2019, Sec. 5.1):
# name -> smallest number (None: 0), largest number (None: any).
SHOTS: dict[str, tuple[int | None, int | None]] = {"many": (101, None), "medium": (20, 100), "few": (None, 19)}


@measure("test.macro_accuracy", label="test accuracy, mean over classes", unit="percent")
def macro_accuracy(record: Record) -> float | None:
    """Mean over the classes of the test split of the accuracy on each class (balanced accuracy)."""
    return _mean(class_accuracies(record.predictions))


@measure("test.macro_f1", label="test macro-F1", unit="percent")
def macro_f1(record: Record) -> float | None:
    """Mean over classes of the harmonic mean of precision and recall on the test split; classes without test examples
    that are never predicted are left out.
    """
    counts, predicted, correct = _counts(record.predictions)
    seen = counts + predicted > 0
    # 2 PR / (P + R) = 2 correct / (examples + predictions)
    return _mean(2 * correct[seen] / (counts + predicted)[seen])


def class_accuracies(predictions: Predictions, among: Tensor | None = None) -> Tensor:
    """Return the accuracy on each class that has test examples, float64.

    Args:
        predictions: predictions of a run.
        among: (K,) bool, the classes to include. Default: all.
    """
    counts, _, correct = _counts(predictions)
    chosen = counts > 0 if among is None else (counts > 0) & among
    return correct[chosen] / counts[chosen]


def classes_of(predictions: Predictions, shot: str) -> Tensor:
    """Return which classes have as many training examples, by their observed labels, as `SHOTS` says, (K,) bool."""
    observed = predictions["train.observed"]
    counts = observed[observed >= 0].bincount(minlength=predictions["test.logits"].shape[1])
    low, high = SHOTS[shot]
    return (counts >= (low or 0)) & (counts <= (counts.max() if high is None else high))


def _of_shot(record: Record, shot: str) -> float | None:
    return _mean(class_accuracies(record.predictions, classes_of(record.predictions, shot)))


def _in_words(low: int | None, high: int | None) -> str:
    if low is None:
        return f"fewer than {(high or 0) + 1}"
    return f"more than {low - 1}" if high is None else f"{low} to {high}"


for _shot, (_low, _high) in SHOTS.items():
    measure(
        f"test.{_shot}_shot_accuracy",
        label=f"test accuracy, {_shot}-shot classes",
        unit="percent",
        describes=f"Mean over the classes with {_in_words(_low, _high)} training examples, by their observed labels, "
        "of the accuracy on the test examples of each class.",
    )(partial(_of_shot, shot=_shot))


def _counts(predictions: Predictions) -> tuple[Tensor, Tensor, Tensor]:
    """Return for each class its examples in the test split, its predictions, and its correct predictions, (K,) each."""
    logits, labels = predictions["test.logits"], predictions["test.labels"]
    size, chosen = logits.shape[1], logits.argmax(1)
    count = partial(torch.bincount, minlength=size)
    return count(labels), count(chosen), count(labels[chosen == labels]).double()


def _mean(values: Tensor) -> float | None:
    return float(values.double().mean()) if len(values) else None
