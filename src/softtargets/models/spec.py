"""Which network, as a specification. Free of torch, for the command line."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from softtargets._spec import Spec

Width = Annotated[int, Field(ge=1)]


class MlpSpec(Spec):
    """A multilayer perceptron on the flattened input: `hidden` widths, and dropout in [0, 1) after each.

    With an `initial_deviation` all weights begin as draws from N(0, initial_deviation²) and all biases at 0.
    """

    name: Literal["mlp"] = "mlp"
    hidden: tuple[Width, ...] = (256, 256)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    initial_deviation: float | None = Field(default=None, gt=0)


class ResNetSpec(Spec):
    """The CIFAR ResNet of He et al. 2016: depth = 6n + 2 layers, `width` channels in the first of three stages."""

    name: Literal["resnet"] = "resnet"
    depth: int = 20
    width: Width = 16

    @field_validator("depth")
    @classmethod
    def _check_depth(cls, depth: int) -> int:
        if depths := nearest_depths(depth):
            raise ValueError(f"6n + 2 with n >= 1, of which {' and '.join(map(str, depths))} is nearest")
        return depth


class ConvNetSpec(Spec):
    """A plain convolutional network: a stage of each width, each halving the resolution."""

    name: Literal["convnet"] = "convnet"
    widths: tuple[Width, ...] = Field(default=(32, 64, 128), min_length=1)


class AlexNetSpec(Spec):
    """The small AlexNet of Müller et al. 2019, App. A.1: two convolutions of `channels`, then `hidden` dense widths."""

    name: Literal["alexnet"] = "alexnet"
    channels: Width = 64
    hidden: tuple[Width, ...] = Field(default=(384, 192), min_length=1)


ModelSpec = Annotated[MlpSpec | ConvNetSpec | ResNetSpec | AlexNetSpec, Field(discriminator="name")]


def nearest_depths(depth: int) -> tuple[int, ...]:
    """Return the depths of the form 6n + 2 on either side of a depth that is not; nothing where it is.

    Example:
        >>> nearest_depths(20), nearest_depths(18), nearest_depths(3)
        ((), (14, 20), (8,))
    """
    if depth < 8:
        return (8,)
    below = depth - (depth - 2) % 6
    return () if below == depth else (below, below + 6)
