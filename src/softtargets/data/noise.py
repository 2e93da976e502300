"""Label noise applied to a data set's splits."""

from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets.data.dataset import Dataset
from softtargets.matrices import Transition
from softtargets.noise import corrupt


@dataclass(frozen=True)
class ObservedLabels:
    """The labels that training and model selection see.

    Args:
        labels: (N,) int64 over the whole data set; rows of clean splits keep their label.
        flipped: (N,) bool.
        rates: realised noise rate by split, fractions.
    """

    labels: Tensor
    flipped: Tensor
    rates: dict[str, float]


def clean_labels(dataset: Dataset) -> ObservedLabels:
    """Return the labels as they are."""
    return ObservedLabels(dataset.labels, torch.zeros_like(dataset.labels, dtype=torch.bool), {})


def observe_labels(
    dataset: Dataset, transition: Transition, splits: tuple[str, ...], generator: torch.Generator
) -> ObservedLabels:
    """Corrupt the labels of some splits, each at the exact rate.

    Args:
        dataset: with clean labels.
        transition: clean -> observed.
        splits: which splits; they are drawn in this order.
        generator: the stream of the label noise.

    Returns:
        ObservedLabels; the other splits keep their labels.
    """
    labels = dataset.labels.clone()
    rates: dict[str, float] = {}
    for split in splits:
        rows = dataset.splits[split]
        corrupted = corrupt(dataset.labels[rows], transition, generator=generator)
        labels[rows] = corrupted.noisy_labels
        rates[split] = corrupted.noise_rate
    return ObservedLabels(labels, labels != dataset.labels, rates)
