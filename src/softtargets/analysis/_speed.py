"""Learning speed."""

import math
import numbers
from collections.abc import Sequence

from torch import Tensor

from softtargets._arrays import ArrayLike, array_function
from softtargets._errors import fail, fail_type

__all__ = ["epochs_to"]


@array_function
def epochs_to(values: Sequence[float] | ArrayLike, level: float, *, higher_is_better: bool = True) -> int | None:
    """Return the first epoch at which a measure reaches a level (the "learning speed" of Müller et al. 2019).

    min {e : values[e - 1] >= level}; <= if lower is better

    Later epochs are ignored, even if the value falls again. Compare runs at one level, and report how many never
    reached it: a mean over those that did favours methods that often fail.

    Args:
        values: (E,) one value per epoch, in order, such as validation accuracies; NaN reaches no level.
        level: the value to reach; rounded to the dtype of `values` if they are a tensor.
        higher_is_better: False for errors and losses.

    Returns:
        The epoch, counted from 1, or None if the level was not reached.

    Raises:
        ValueError: if level is NaN or values are not one per epoch.
        TypeError: if level or a value is not a number.

    Special cases:
        with the best of all values as the level, it is the first epoch that reaches this value.

    Example:
        >>> epochs_to([0.5, 0.75, 0.9, 0.8], 0.75)
        2
        >>> epochs_to([0.5, 0.25], 0.2, higher_is_better=False) is None
        True
    """
    if not isinstance(level, numbers.Real):
        raise fail_type("level", "a number", type(level).__name__, "pass the value to reach")
    if math.isnan(level):
        raise fail("level", "a number", level, "pass the value to reach")
    if isinstance(values, Tensor):
        if values.ndim != 1:
            raise fail("values", "shape (E,)", tuple(values.shape), "pass one value per epoch")
        # compared in the dtype of the tensor, in which .9 reaches the level .9
        reached = (values >= level if higher_is_better else values <= level).tolist()
    else:
        _check_numbers(values)
        reached = [value >= level if higher_is_better else value <= level for value in values]
    return next((epoch for epoch, there in enumerate(reached, 1) if there), None)


def _check_numbers(values: object) -> None:
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise fail_type(
            "values", "a tensor or a sequence of numbers", type(values).__name__, "pass one value per epoch"
        )
    for epoch, value in enumerate(values):
        if not isinstance(value, numbers.Real):
            got = f"{type(value).__name__} at row {epoch}"
            raise fail_type("values", "numbers", got, "pass one value per epoch")
