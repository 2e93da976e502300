"""Where wrong labels come from, as a specification. Free of torch, for the command line."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from softtargets._errors import fail
from softtargets._spec import Spec

Rate = Annotated[float, Field(ge=0, le=1)]
Split = Literal["train", "validation"]


class NoiseBase(Spec):
    """Noise of the splits that training and model selection see; the test split keeps its labels."""

    splits: tuple[Split, ...] = Field(default=("train", "validation"), min_length=1)

    @model_validator(mode="after")
    def _splits_differ(self) -> Self:
        if len(set(self.splits)) < len(self.splits):
            raise fail("splits", "each split once", list(self.splits), "drop what is repeated")
        return self


class SymmetricNoise(NoiseBase):
    """A label becomes any of the others alike, at an exact rate; inclusive: is redrawn over all classes."""

    name: Literal["symmetric"] = "symmetric"
    rate: Rate
    inclusive: bool = False


class PairFlipNoise(NoiseBase):
    """A label becomes the next class, at an exact rate."""

    name: Literal["pair_flip"] = "pair_flip"
    rate: Rate


class AsymmetricCifar10Noise(NoiseBase):
    """Truck to automobile, bird to airplane, deer to horse, cat to dog and back, at an exact rate."""

    name: Literal["asymmetric_cifar10"] = "asymmetric_cifar10"
    rate: Rate


class SuperclassFlipNoise(NoiseBase):
    """A label becomes the next class of its superclass; `superclasses` holds one number for each class."""

    name: Literal["superclass_flip"] = "superclass_flip"
    rate: Rate
    superclasses: tuple[Annotated[int, Field(ge=0)], ...]


class InstanceNoise(NoiseBase):
    """Noise that depends on the input (Xia et al. 2020); rates vary between examples by `spread`."""

    name: Literal["instance"] = "instance"
    rate: Rate
    spread: Rate = 0.1


class RecordedNoise(NoiseBase):
    """Labels that people gave: a column of a file with a row for each row of the data set's own training part."""

    name: Literal["recorded"] = "recorded"
    file: str = Field(min_length=1)
    column: str = Field(min_length=1)


NoiseSpec = Annotated[
    SymmetricNoise | PairFlipNoise | AsymmetricCifar10Noise | SuperclassFlipNoise | InstanceNoise | RecordedNoise,
    Field(discriminator="name"),
]
