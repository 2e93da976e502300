"""The base of result classes: a short text, plain Python values, NumPy fields for NumPy input, and axes to plot on."""

from dataclasses import fields, replace
from typing import Any, Self

from torch import Tensor

from softtargets._errors import sentence

_MOST_SHOWN = 6


class TensorResult:
    """Base of the frozen dataclasses that functions return."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name as Python numbers, strings, lists and dicts."""
        return {entry.name: plain(getattr(self, entry.name)) for entry in fields(self)}  # pyright: ignore[reportArgumentType]

    def with_arrays(self) -> Self:
        """Return the same result with NumPy arrays in place of its tensors."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}  # pyright: ignore[reportArgumentType]
        tensors = {name: value for name, value in values.items() if isinstance(value, Tensor)}
        return replace(self, **{name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()})  # pyright: ignore[reportArgumentType]

    def __repr__(self) -> str:
        parts = (f"{entry.name}={shown(getattr(self, entry.name))}" for entry in fields(self))  # pyright: ignore[reportArgumentType]
        return f"{type(self).__name__}({', '.join(parts)})"


def plain(value: Any) -> Any:
    """Return tensors and arrays as numbers or lists, results as dicts, transitions as the rows of their matrix."""
    if hasattr(value, "to_dense"):
        value = value if isinstance(value, Tensor) else value.to_dense()
    if hasattr(value, "tolist"):
        return (value.detach() if isinstance(value, Tensor) else value).tolist()
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return value.to_dict() if hasattr(value, "to_dict") else value


def shown(value: Any) -> str:
    """Return one number or a few as text with four digits, and the shape of more numbers."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if not hasattr(value, "tolist"):
        dense = hasattr(value, "to_dense")
        return f"<{type(value).__name__} of {value.num_classes} classes>" if dense else repr(value)
    if value.ndim == 0:
        return shown(value.tolist())
    if value.ndim > 1 or len(value) > _MOST_SHOWN:
        return f"<{' x '.join(map(str, value.shape))} {str(value.dtype).removeprefix('torch.')}>"
    return f"[{', '.join(map(shown, value.tolist()))}]"


def new_axes(ax: Any) -> Any:
    """Return the given matplotlib axes, or those of a new figure.

    Raises:
        ModuleNotFoundError: if no axes are given and matplotlib is not installed.
    """
    if ax is not None:
        return ax
    try:
        from matplotlib import pyplot
    except ModuleNotFoundError as error:
        message = sentence("plot", "matplotlib", "no such package", "run pip install matplotlib")
        raise ModuleNotFoundError(message, name="matplotlib") from error
    return pyplot.subplots()[1]
