"""The base of every kind of noise, and the observed labels that it returns."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, Self, TypeVar

import torch
from pydantic import Field, model_validator
from torch import Tensor

from softtargets._errors import fail
from softtargets._spec import NamedSpec, register
from softtargets.data.dataset import Dataset
from softtargets.matrices import Transition

Split = Literal["train", "validation"]


@dataclass(frozen=True)
class ObservedLabels:
    """The labels that training and model selection use.

    Args:
        labels: (N,) int64 for the whole data set; rows of clean splits keep their label.
        flipped: (N,) bool, True where the label differs from the clean one.
        rates: realised noise rate by split, fractions.
    """

    labels: Tensor
    flipped: Tensor
    rates: dict[str, float]

    @classmethod
    def compare(cls, labels: Tensor, dataset: Dataset, splits: tuple[str, ...]) -> Self:
        """Return observed labels, compared with the clean ones; a split without rows has no rate."""
        flipped = labels != dataset.labels
        rates = {split: float(flipped[rows].double().mean()) for split in splits if len(rows := dataset.splits[split])}
        return cls(labels, flipped, rates)


class NoiseKind(NamedSpec):
    """Noise in the splits that training and model selection use; the test split keeps its labels."""

    # fields with the place of a file, whose content `fingerprint` represents
    places: ClassVar[tuple[str, ...]] = ()

    splits: tuple[Split, ...] = Field(default=("train", "validation"), min_length=1)

    @model_validator(mode="after")
    def _splits_differ(self) -> Self:
        if len(set(self.splits)) < len(self.splits):
            raise fail("splits", "each split once", list(self.splits), "remove the repeated ones")
        return self

    @abstractmethod
    def observe(self, dataset: Dataset, generator: torch.Generator) -> ObservedLabels:
        """Return the observed labels of a data set under this noise.

        Args:
            dataset: the data set, with clean labels.
            generator: the generator of the label noise.

        Raises:
            InputError: if the noise does not fit the data set.
        """

    def transition(self, num_classes: int) -> Transition:
        """Return the transition, clean -> observed, that labels are drawn from.

        Raises:
            InputError: if the noise depends on more than the class, or does not fit the number of classes.
        """
        known = [name for name, kind in KINDS.items() if kind.transition is not NoiseKind.transition]
        required = f"noise drawn from a transition: {', '.join(known)}"
        raise fail("noise", required, f"'{self.name}', whose transition is unknown", "estimate the transition")

    def fingerprint(self) -> str | None:
        """Return the SHA-256 (hex) of the labels that this noise reads from a file; None if it reads none.

        Raises:
            InputError: if the file cannot be read.
        """
        return None


KINDS: dict[str, type[NoiseKind]] = {}
Registered = TypeVar("Registered", bound=NoiseKind)


def noise_kind(name: str) -> Callable[[type[Registered]], type[Registered]]:
    """Register the decorated class as the kind of noise that ``noise.name`` selects."""
    return register(KINDS, name)
