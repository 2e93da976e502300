"""Noise that depends only on the class: labels are drawn from a transition, at the exact rate."""

from abc import abstractmethod
from typing import Annotated

import torch
from pydantic import Field

from softtargets import noise
from softtargets._errors import fail
from softtargets._spec import Fraction
from softtargets.data.dataset import Dataset
from softtargets.data.noise.kind import NoiseKind, ObservedLabels, noise_kind
from softtargets.matrices import Transition


class ClassConditionalNoise(NoiseKind):
    """The base of kinds of noise that depend only on the class."""

    rate: Fraction

    @abstractmethod
    def transition(self, num_classes: int) -> Transition: ...

    def observe(self, dataset: Dataset, generator: torch.Generator) -> ObservedLabels:
        transition = self.transition(dataset.num_classes)
        labels = dataset.labels.clone()
        rates: dict[str, float] = {}
        for split in self.splits:
            rows = dataset.splits[split]
            corrupted = noise.corrupt(dataset.labels[rows], transition, generator=generator)
            labels[rows] = corrupted.noisy_labels
            rates[split] = corrupted.noise_rate
        return ObservedLabels(labels, labels != dataset.labels, rates)


@noise_kind("symmetric")
class SymmetricNoise(ClassConditionalNoise):
    """A label becomes any other class with equal probability. Inclusive: it is redrawn over all classes."""

    inclusive: bool = False

    def transition(self, num_classes: int) -> Transition:
        return noise.symmetric(self.rate, num_classes, inclusive=self.inclusive)


@noise_kind("pair_flip")
class PairFlipNoise(ClassConditionalNoise):
    """A label becomes the next class."""

    def transition(self, num_classes: int) -> Transition:
        return noise.pair_flip(self.rate, num_classes)


@noise_kind("asymmetric_cifar10")
class AsymmetricCifar10Noise(ClassConditionalNoise):
    """Truck becomes automobile, bird airplane, deer horse, cat dog and dog cat."""

    def transition(self, num_classes: int) -> Transition:
        if num_classes != 10:
            required = "the ten classes of CIFAR-10 for 'asymmetric_cifar10'"
            raise fail("noise", required, num_classes, "use 'pair_flip'")
        return noise.asymmetric_cifar10(self.rate)


@noise_kind("superclass_flip")
class SuperclassFlipNoise(ClassConditionalNoise):
    """A label becomes the next class of its superclass. `superclasses` has the superclass number of each class."""

    superclasses: tuple[Annotated[int, Field(ge=0)], ...]

    def transition(self, num_classes: int) -> Transition:
        if len(self.superclasses) != num_classes:
            got = f"{len(self.superclasses)} for {num_classes} classes"
            raise fail("noise.superclasses", "one number for each class", got, "give the superclass of every class")
        return noise.superclass_flip(self.rate, torch.tensor(self.superclasses))
