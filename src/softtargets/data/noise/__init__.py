"""Label noise for data sets: one class per kind of noise, with its specification, behaviour and name.

Every file of this folder is imported automatically.
"""

import importlib
import pkgutil
from typing import TYPE_CHECKING

import torch

from softtargets._spec import union_of
from softtargets.data.dataset import Dataset
from softtargets.data.noise.kind import KINDS, NoiseKind, ObservedLabels, noise_kind
from softtargets.matrices import Transition

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

if TYPE_CHECKING:
    AnyNoise = NoiseKind
else:
    AnyNoise = union_of(KINDS)

__all__ = [
    "KINDS",
    "AnyNoise",
    "NoiseKind",
    "ObservedLabels",
    "clean_labels",
    "drawn_from",
    "noise_kind",
    "observe",
]


def clean_labels(dataset: Dataset) -> ObservedLabels:
    """Return the clean labels as observed labels."""
    return ObservedLabels(dataset.labels, torch.zeros_like(dataset.labels, dtype=torch.bool), {})


def observe(noise: NoiseKind | None, dataset: Dataset, generator: torch.Generator) -> ObservedLabels:
    """Return the observed labels, either drawn from the clean labels or read from a file.

    Args:
        noise: the kind of noise. None: the clean labels.
        dataset: the data set, with clean labels.
        generator: the generator of the label noise.

    Raises:
        InputError: if the noise does not fit the data set, or its file cannot be read.
    """
    return clean_labels(dataset) if noise is None else noise.observe(dataset, generator)


def drawn_from(noise: NoiseKind | None, num_classes: int) -> Transition:
    """Return the transition that labels are drawn from; without noise, the identity.

    Raises:
        InputError: if the noise depends on more than the class, or does not fit the number of classes.
    """
    return Transition.identity(num_classes) if noise is None else noise.transition(num_classes)
