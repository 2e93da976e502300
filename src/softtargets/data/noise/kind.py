"""The base of every kind of noise, and what it makes of a data set's labels."""

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
    """The labels that training and model selection see.

    Args:
        labels: (N,) int64 over the whole data set; rows of clean splits keep their label.
        flipped: (N,) bool.
        rates: realised noise rate by split, fractions.
    """

    labels: Tensor
    flipped: Tensor
    rates: dict[str, float]

    @classmethod
    def compare(cls, labels: Tensor, dataset: Dataset, splits: tuple[str, ...]) -> Self:
        """Return observed labels with what the clean ones say of them; a split without rows has no rate."""
        flipped = labels != dataset.labels
        rates = {split: float(flipped[rows].double().mean()) for split in splits if len(rows := dataset.splits[split])}
        return cls(labels, flipped, rates)


class NoiseKind(NamedSpec):
    """Noise of the splits that training and model selection see; the test split keeps its labels."""

    # fields that say where a file lies, whose content `fingerprint` stands for
    places: ClassVar[tuple[str, ...]] = ()

    splits: tuple[Split, ...] = Field(default=("train", "validation"), min_length=1)

    @model_validator(mode="after")
    def _splits_differ(self) -> Self:
        if len(set(self.splits)) < len(self.splits):
            raise fail("splits", "each split once", list(self.splits), "drop what is repeated")
        return self

    @abstractmethod
    def observe(self, dataset: Dataset, generator: torch.Generator) -> ObservedLabels:
        """Return the labels of a data set as they are observed under this noise.

        Args:
            dataset: with clean labels.
            generator: the stream of the label noise.

        Raises:
            InputError: where the noise does not fit the data set.
        """

    def transition(self, num_classes: int) -> Transition:
        """Return the transition, clean -> observed, that labels are drawn from.

        Raises:
            InputError: where the noise does not depend on the class alone, or does not fit the number of classes.
        """
        known = [name for name, kind in KINDS.items() if kind.transition is not NoiseKind.transition]
        required = f"noise drawn from a transition: {', '.join(known)}"
        raise fail("noise", required, f"'{self.name}', whose transition nobody knows", "estimate the transition")

    def fingerprint(self) -> str | None:
        """Return the SHA-256 (hex) of the labels that this noise reads from a file; None where it reads none.

        Raises:
            InputError: where the file cannot be read.
        """
        return None


KINDS: dict[str, type[NoiseKind]] = {}
Registered = TypeVar("Registered", bound=NoiseKind)


def noise_kind(name: str) -> Callable[[type[Registered]], type[Registered]]:
    """Register the decorated class as the kind of noise that ``noise.name`` selects."""
    return register(KINDS, name)
