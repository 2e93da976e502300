"""What results of metrics share: a short text, plain Python values, and axes to plot on."""

from typing import Any

from torch import Tensor

from softtargets._errors import sentence

_MOST_SHOWN = 6


class Result:
    """The base of result classes, frozen dataclasses of tensors and numbers."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name as Python numbers and lists."""
        return {name: plain(value) for name, value in vars(self).items()}


def plain(value: Any) -> Any:
    """Return tensors as numbers or lists, tuples as lists, results as dicts, and anything else unchanged."""
    if isinstance(value, Tensor):
        return value.detach().tolist()
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return value.to_dict() if isinstance(value, Result) else value


def shown(value: Tensor | float) -> str:
    """Return a number or a few numbers as text with four digits; of more numbers, their shape."""
    if not isinstance(value, Tensor):
        return f"{value:.4g}"
    if value.ndim == 0:
        return f"{float(value):.4g}"
    if value.ndim > 1 or len(value) > _MOST_SHOWN:
        return f"<{' x '.join(map(str, value.shape))} numbers>"
    return f"[{', '.join(f'{number:.4g}' for number in value.tolist())}]"


def axes(ax: Any) -> Any:
    """Return the given matplotlib axes, or those of a new figure.

    Raises:
        ModuleNotFoundError: if there are none and matplotlib is not installed.
    """
    if ax is not None:
        return ax
    try:
        from matplotlib import pyplot
    except ModuleNotFoundError as error:
        message = sentence("plot", "matplotlib", "no such package", "run pip install matplotlib")
        raise ModuleNotFoundError(message, name="matplotlib") from error
    return pyplot.subplots()[1]


def unit_square(ax: Any, *, x: str, y: str) -> Any:
    """Draw the diagonal, set both axes to [0, 1] and label them."""
    ax.plot([0, 1], [0, 1], linestyle="--", color="0.5", linewidth=1, label="perfect calibration")
    ax.set(xlim=(0, 1), ylim=(0, 1), xlabel=x, ylabel=y, aspect="equal")
    return ax
