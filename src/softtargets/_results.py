"""The base of result classes: a short text, plain Python values, NumPy fields for NumPy input, and axes to plot on."""

from collections.abc import Sequence
from dataclasses import fields, replace
from html import escape
from typing import Any, Self

from torch import Tensor

from softtargets import _packages

_MOST_SHOWN = 6
# Classes of a heat map whose names and numbers can be read.
_MOST_NAMED = 12


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

    def _repr_html_(self) -> str:
        """Return the fields as a table, for notebooks."""
        rows = (
            f"<tr><th style='text-align:left'>{entry.name}</th>"
            f"<td style='text-align:left'>{escape(shown(getattr(self, entry.name)))}</td></tr>"
            for entry in fields(self)  # pyright: ignore[reportArgumentType]
        )
        return f"<table><caption>{type(self).__name__}</caption>{''.join(rows)}</table>"


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
    return _packages.load("matplotlib.pyplot", "plot", "softtargets[plot]").subplots()[1]


def unit_square(ax: Any, *, x: str, y: str) -> Any:
    """Draw the diagonal, set both axes to [0, 1] and label them."""
    ax.plot([0, 1], [0, 1], linestyle="--", color="0.5", linewidth=1, label="perfect calibration")
    ax.set(xlim=(0, 1), ylim=(0, 1), xlabel=x, ylabel=y, aspect="equal")
    return ax


def heat_map(matrix: Tensor, ax: Any, names: Sequence[str], *, x: str, y: str) -> Any:
    """Plot a square matrix of fractions with its numbers, if it has at most 12 rows, and return the axes."""
    ax, size = new_axes(ax), len(matrix)
    image = ax.imshow(matrix.tolist(), vmin=0, vmax=1, cmap="Blues")
    ax.figure.colorbar(image, ax=ax)
    if size <= _MOST_NAMED:
        labels = [str(name) for name in names] or [str(place) for place in range(size)]
        ax.set_xticks(range(size), labels, rotation=90 if max(map(len, labels)) > 2 else 0)
        ax.set_yticks(range(size), labels)
        for row in range(size):
            for column in range(size):
                value = float(matrix[row, column])
                colour = "white" if value > 0.5 else "black"
                ax.text(column, row, f"{value:.2f}", ha="center", va="center", color=colour, fontsize=7)
    ax.set(xlabel=x, ylabel=y)
    return ax
