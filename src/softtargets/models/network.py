"""The base of every network's specification, and checks of arguments and inputs that all networks share."""

import functools
from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar, TypeVar

import torch
from pydantic import AfterValidator, Field
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from softtargets._checks import check_floating
from softtargets._errors import fail
from softtargets._spec import NamedSpec, register
from softtargets._storage import shown_bytes

MAX_WIDTH = 2**20
# Bounds the memory of training: about four times the parameters, for weights, gradients, momentum and a saved copy.
MAX_PARAMETERS = 2**28
MAX_LAYERS = 256


def _check_width(width: int) -> int:
    if width > MAX_WIDTH:
        # every unit has a weight for each class or unit of the next layer, at least two
        taken = f"{shown_bytes(8 * width)} in float32, about four times that in training"
        raise ValueError(f"at most {MAX_WIDTH:,}, because {width:,} units would take at least {taken}")
    return width


Width = Annotated[int, Field(ge=1), AfterValidator(_check_width)]


class ModelSpec(NamedSpec):
    """The specification of a network: its fields except `name` are the arguments of `network`."""

    network: ClassVar[type[nn.Module]]

    def build(self, input_shape: Sequence[int], num_classes: int) -> nn.Module:
        """Build the network; its initial weights are drawn from torch's global generator.

        Args:
            input_shape: Shape of one input without the batch: (C, H, W) of an image, (D,) of a row of a table.
            num_classes: At least 2.

        Returns:
            A module with ``features(inputs)`` -> (N, D), the last linear layer ``head``, and ``forward``, which
            applies the head to the features: (N, K) logits.

        Raises:
            InputError: if the network cannot take this input shape, or has more than 268,435,456 parameters. The size
                is checked before any memory is allocated.

        Example:
            >>> from softtargets.models.mlp import MlpSpec
            >>> MlpSpec(hidden=(5,)).build((1, 8, 8), 10).head
            Linear(in_features=5, out_features=10, bias=True)
        """
        parameters = self.parameters(tuple(input_shape), num_classes)
        if parameters > MAX_PARAMETERS:
            shown = f"{parameters:,} ({shown_bytes(4 * parameters)} in float32, about four times that in training)"
            required = f"a network of at most {MAX_PARAMETERS:,} parameters for inputs of shape {tuple(input_shape)}"
            raise fail("model", required, shown, "lower its widths, or use smaller inputs")
        return self.network(input_shape, num_classes, **self.model_dump(exclude={"name"}))

    @functools.lru_cache(maxsize=256)  # noqa: B019 (specifications are small values)
    def parameters(self, input_shape: tuple[int, ...], num_classes: int) -> int:
        """Return the number of parameters of the network, without allocating any."""
        with torch.device("meta"), _WithoutNormalDraws():
            network = self.network(input_shape, num_classes, **self.model_dump(exclude={"name"}))
        return sum(parameter.numel() for parameter in network.parameters())


class _WithoutNormalDraws(TorchFunctionMode):
    """Skips normal draws of initial weights: on the meta device they import torch's compiler, which takes a second."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        if func in (Tensor.normal_, nn.init.normal_):
            return args[0] if args else given["tensor"]
        return func(*args, **given)


MODELS: dict[str, type[ModelSpec]] = {}
Registered = TypeVar("Registered", bound=ModelSpec)


def model(name: str) -> Callable[[type[Registered]], type[Registered]]:
    """Register the decorated class as the specification that ``model.name`` selects."""
    return register(MODELS, name)


def checked_shape(input_shape: Sequence[int], required: str, ndim: int | None = None) -> tuple[int, ...]:
    """Return the shape of one input as a tuple; require positive sizes, and `ndim` of them if it is given."""
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
