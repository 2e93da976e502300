"""Information about the example in two logits of a trained network."""

import torch
from torch import Tensor

from softtargets._errors import fail
from softtargets.analysis import mutual_information
from softtargets.measures.registry import Measure, network_measures, network_trace
from softtargets.measures.subject import Subject
from softtargets.runs.snapshots import read_snapshots
from softtargets.runs.streams import generator

# Müller et al. 2019 use 600 examples of two classes and 5 draws. More draws reduce bias and error.
EXAMPLES, DRAWS = 300, 20


@network_measures(
    "information",
    Measure(
        "information",
        "information about the example",
        "nats",
        "Mutual information between the index of an example and the difference of two logits under the run's "
        "augmentation: at most 300 training examples of each of two different classes (true labels), 20 draws each. "
        "It is log 2 where the logits reveal only the class (Müller et al. 2019, Fig. 6).",
    ),
    needs_classes=True,
)
def information(subject: Subject) -> dict[str, float]:
    """Return the information about the example in two logits of a trained network."""
    return {"information": _information(subject, examples_of(subject))}


@network_trace("information")
def information_through_training(subject: Subject) -> list[tuple[int, float]]:
    """Return the information after each epoch with saved weights, for the same examples and augmentations."""
    rows = examples_of(subject)
    found: list[tuple[int, float]] = []
    for epoch, weights in read_snapshots(subject.folder):
        subject.network.load_state_dict(weights)
        found.append((epoch, _information(subject, rows)))
    return found


def examples_of(subject: Subject) -> Tensor:
    """Return the rows of the examples, equally many of both classes, so that the class alone contributes log 2."""
    if not subject.resolved.run.augmentation.active:
        remedy = "measure it on runs with augmentation"
        raise fail("information", "a run with augmentation, whose randomness it measures", "none", remedy)
    first, _, third = subject.classes
    labels = subject.predictions["train.labels"]
    count = min(EXAMPLES, int((labels == first).sum()), int((labels == third).sum()))
    if count == 0:
        raise fail("information", "training examples of both classes", "none of one", "choose other classes")
    return subject.predictions["train.ids"][subject.of_classes("train", count, (first, third))]


def _information(subject: Subject, rows: Tensor) -> float:
    first, _, third = subject.classes
    draws = generator("information", subject.resolved.run.seeds.augmentation)
    logits = [subject.logits(rows, draws)[:, [first, third]] for _ in range(DRAWS)]
    return mutual_information(torch.stack([pair[:, 0] - pair[:, 1] for pair in logits], 1)).value
