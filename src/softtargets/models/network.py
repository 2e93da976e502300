"""The base of every network's specification, and what all networks require of their arguments and inputs."""

from collections.abc import Callable, Sequence
from typing import Annotated, ClassVar, TypeVar

from pydantic import Field
from torch import Tensor, nn

from softtargets._checks import check_floating
from softtargets._errors import fail
from softtargets._spec import NamedSpec, register

Width = Annotated[int, Field(ge=1)]


class ModelSpec(NamedSpec):
    """Which network: its fields, but for the name, are the arguments of `network`."""

    network: ClassVar[type[nn.Module]]

    def build(self, input_shape: Sequence[int], num_classes: int) -> nn.Module:
        """Build the network; its initial weights come from torch's global generator.

        Args:
            input_shape: Shape of one input without the batch: (C, H, W) of an image, (D,) of a row of a table.
            num_classes: At least 2.

        Returns:
            A module with ``features(inputs)`` -> (N, D), ``head``, its last linear layer, and ``forward``, the head of
            the features: (N, K) logits.

        Raises:
            InputError: an input shape that the network cannot take.

        Example:
            >>> from softtargets.models.mlp import MlpSpec
            >>> MlpSpec(hidden=(5,)).build((1, 8, 8), 10).head
            Linear(in_features=5, out_features=10, bias=True)
        """
        return self.network(input_shape, num_classes, **self.model_dump(exclude={"name"}))


MODELS: dict[str, type[ModelSpec]] = {}
Registered = TypeVar("Registered", bound=ModelSpec)


def model(name: str) -> Callable[[type[Registered]], type[Registered]]:
    """Register the decorated class as the specification that ``model.name`` selects."""
    return register(MODELS, name)


def checked_shape(input_shape: Sequence[int], required: str, ndim: int | None = None) -> tuple[int, ...]:
    """Return the shape of one input as a tuple, required to hold positive sizes (and `ndim` of them)."""
    shape = tuple(input_shape)
    whole = all(isinstance(size, int) and size >= 1 for size in shape)
    if not shape or not whole or (ndim is not None and len(shape) != ndim):
        remedy = "give the shape of one input without the batch" + ("; for tables use mlp" if ndim else "")
        raise fail("input_shape", required, shape, remedy)
    return shape


def check_inputs(inputs: Tensor, input_shape: tuple[int, ...]) -> None:
    """Require a floating-point batch of inputs of this shape."""
    check_floating("inputs", inputs)
    if inputs.ndim != len(input_shape) + 1 or tuple(inputs.shape[1:]) != input_shape:
        required = f"shape (N, {', '.join(map(str, input_shape))})"
        raise fail("inputs", required, tuple(inputs.shape), "build the model with the input_shape of the data")
