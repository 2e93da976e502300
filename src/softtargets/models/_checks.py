"""What both networks require of their arguments and inputs."""

from collections.abc import Sequence

from torch import Tensor

from softtargets._checks import check_floating
from softtargets._errors import fail


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
