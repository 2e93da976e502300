"""The base of every network's specification, and checks of arguments and inputs that all networks share."""

import functools
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

import torch
from pydantic import AfterValidator, Field, model_validator
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from softtargets._checks import check_floating
from softtargets._errors import fail
from softtargets._spec import NamedSpec, register
from softtargets._storage import shown_bytes
from softtargets.data.tokens import TokenShape, as_shape
from softtargets.models.weights import fingerprint, load_weights, read_weights

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
    """The specification of a network, and of the weights that its training starts from.

    Attributes:
        init_from: Path of the weights to start from: a .safetensors file, or a folder with `model.safetensors`, such as
            a finished run in a run store. None: random weights.
        init_head: "new": the last linear layer keeps its random weights; "kept": it is loaded too. None: new.
    """

    #: Fields that say where weights are. A run's identity has a hash of the weights in their place.
    places: ClassVar[tuple[str, ...]] = ("init_from",)
    #: Whether precision "auto" may be bfloat16 for this network.
    reduced_precision: ClassVar[bool] = True
    #: The rows of tokens that the network writes: translations ("pairs"), the inputs themselves ("texts"), or none.
    writes: ClassVar[Literal["pairs", "texts"] | None] = None

    init_from: str | None = Field(default=None, min_length=1)
    init_head: Literal["new", "kept"] | None = None

    @model_validator(mode="after")
    def _head_of_some_weights(self) -> Self:
        if self.init_head is not None and not self.trained:
            required = "given with weights to start from, and only then"
            raise fail("init_head", required, f"'{self.init_head}' alone", "drop it, or give init_from")
        return self

    @property
    def trained(self) -> bool:
        """Whether training starts from trained weights."""
        return any(getattr(self, place) is not None for place in self.places)

    @abstractmethod
    def assemble(self, input_shape: Sequence[int], num_classes: int) -> nn.Module:
        """Assemble the network; :meth:`build` does this after checking its size."""

    def build(self, input_shape: Sequence[int], num_classes: int) -> nn.Module:
        """Build the network; its initial weights are drawn from torch's global generator.

        Args:
            input_shape: Shape of one input without the batch: (C, H, W) of an image, (D,) of a row of a table; a
                :class:`TokenShape` for a network that takes :class:`Tokens`.
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
        check_size(self.parameters(as_shape(input_shape), num_classes), input_shape)
        return self.assemble(input_shape, num_classes)

    @functools.lru_cache(maxsize=256)  # noqa: B019 (specifications are small values)
    def parameters(self, input_shape: tuple[int, ...], num_classes: int) -> int:
        """Return the number of parameters of the network, without allocating any."""
        with torch.device("meta"), WithoutDraws():
            network = self.assemble(input_shape, num_classes)
        return sum(parameter.numel() for parameter in network.parameters())

    def initialise(self, network: nn.Module, images: Callable[[int], Iterable[Tensor]]) -> None:
        """Change the weights of a network that was built, before training starts.

        Args:
            network: what :meth:`build` returned; changed in place.
            images: images(n) yields batches of the first n training inputs as the network sees them, float32; fewer if
                there are fewer. Specifications whose weights do not depend on the data do not call it.

        Raises:
            InputError: if the weights cannot be read, or are those of another network.
        """
        if self.init_from is not None:
            load_weights(
                network, read_weights(self.init_from), keep_head=self.init_head == "kept", source=self.init_from
            )

    def most_tokens(self, input_shape: tuple[int, ...], num_classes: int) -> int | None:
        """Return the largest number of tokens of a row that the network takes; None: any number, or not known."""
        return None

    def source(self) -> str | None:
        """Return a hash of the code that defines the network, if it is not part of this package."""
        return None

    def weights_fingerprint(self) -> str | None:
        """Return a hash of the weights that training starts from; None if they are drawn at random."""
        return None if self.init_from is None else fingerprint(read_weights(self.init_from))


class NetworkSpec(ModelSpec):
    """The specification of a network of this package: its own fields are the arguments of `network`."""

    network: ClassVar[type[nn.Module]]

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of `network` after the shape of the inputs and the number of classes."""
        return self.model_dump(exclude=set(ModelSpec.model_fields))

    def assemble(self, input_shape: Sequence[int], num_classes: int) -> nn.Module:
        """Build `network`."""
        return self.network(input_shape, num_classes, **self.arguments)


def check_size(parameters: int, input_shape: Sequence[int]) -> None:
    """Require a network of at most `MAX_PARAMETERS` parameters."""
    if parameters > MAX_PARAMETERS:
        shown = f"{parameters:,} ({shown_bytes(4 * parameters)} in float32, about four times that in training)"
        required = f"a network of at most {MAX_PARAMETERS:,} parameters for inputs of shape {tuple(input_shape)}"
        raise fail("model", required, shown, "lower its widths, or use smaller inputs")


class WithoutDraws(TorchFunctionMode):
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
    if isinstance(input_shape, TokenShape):
        remedy = "use embedding_bag or transformers, or remove data.tokenizer"
        raise fail("input_shape", required, "rows of tokens", remedy)
    shape = tuple(input_shape)
    whole = all(isinstance(size, int) and size >= 1 for size in shape)
    if not shape or not whole or (ndim is not None and len(shape) != ndim):
        remedy = "give the shape of one input without the batch" + ("; for tables use mlp" if ndim else "")
        raise fail("input_shape", required, shape, remedy)
    return shape


def checked_tokens(input_shape: Sequence[int], network: str) -> TokenShape:
    """Return the shape of rows of tokens; require that it is one."""
    if not isinstance(input_shape, TokenShape):
        got = f"inputs of shape {tuple(input_shape)}"
        raise fail("input_shape", f"rows of tokens, for '{network}'", got, "set data.tokenizer, or use another network")
    return input_shape


def check_inputs(inputs: Tensor, input_shape: tuple[int, ...], *, any_size: bool = False) -> None:
    """Require a floating-point batch of inputs of this shape; with `any_size`, images of any height and width."""
    check_floating("inputs", inputs)
    compared = 1 if any_size else len(input_shape)
    if inputs.ndim != len(input_shape) + 1 or tuple(inputs.shape[1 : 1 + compared]) != input_shape[:compared]:
        required = f"shape (N, {', '.join(map(str, input_shape))})"
        raise fail("inputs", required, tuple(inputs.shape), "build the model with the input_shape of the data")


def checked_image(input_shape: Sequence[int], *, least: int = 1) -> tuple[int, int, int]:
    """Return the shape of an image as a tuple; require (C, H, W) with at least `least` pixels in height and width."""
    channels, height, width = checked_shape(input_shape, "(C, H, W), the shape of an image", ndim=3)
    if min(height, width) < least:
        required = f"images of at least {least}x{least} pixels"
        raise fail("input_shape", required, (channels, height, width), "enlarge the images, or use another network")
    return channels, height, width


def draw_convolutions(network: nn.Module) -> None:
    """Draw the weights of every convolution as He et al. 2015 do: N(0, 2 / (k² fan_out))."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def nearest_depths(depth: int, step: int, rest: int) -> tuple[int, ...]:
    """Return the nearest depths of the form step n + rest, n >= 1; nothing if `depth` has this form.

    Example:
        >>> nearest_depths(20, 6, 2), nearest_depths(18, 6, 2), nearest_depths(3, 6, 2)
        ((), (14, 20), (8,))
    """
    if depth < step + rest:
        return (step + rest,)
    below = depth - (depth - rest) % step
    return () if below == depth else (below, below + step)


def check_depth(depth: int, step: int, rest: int) -> None:
    """Require a depth of the form step n + rest with n >= 1."""
    if depths := nearest_depths(depth, step, rest):
        raise fail("depth", f"{step}n + {rest} with n >= 1", depth, f"use {' or '.join(map(str, depths))}")


def depth_rule(step: int, rest: int) -> AfterValidator:
    """Return the validator of a field whose value has the form step n + rest with n >= 1."""

    def check(depth: int) -> int:
        if depths := nearest_depths(depth, step, rest):
            nearest = " and ".join(map(str, depths))
            raise ValueError(f"{step}n + {rest} with n >= 1, of which {nearest} is nearest")
        return depth

    return AfterValidator(check)
