"""How fast a model learns."""

import math
from collections.abc import Sequence

from torch import Tensor

from softtargets._errors import fail

__all__ = ["epochs_to"]


def epochs_to(values: Sequence[float] | Tensor, level: float, *, higher_is_better: bool = True) -> int | None:
    """Count the epochs until a measure first is at a level (the "learning speed" of Müller et al. 2019).

    min {e : values[e - 1] >= level}; <= where lower is better

    Once is enough: a later fall is not looked at. Compare runs at one level, and say how many never got there: a mean
    over those that did flatters what fails.

    Args:
        values: (E,) one per epoch, in order, validation accuracy for example; NaN is at no level.
        level: what to reach; of a tensor, rounded to its dtype.
        higher_is_better: False for errors and losses.

    Returns:
        The epoch, counted from 1, or None where the level was not reached.

    Raises:
        ValueError: where level is NaN or values are not one per epoch.

    Special cases:
        the best of all values, as the level, gives the first epoch that has it.

    Example:
        >>> epochs_to([0.5, 0.75, 0.9, 0.8], 0.75)
        2
        >>> epochs_to([0.5, 0.25], 0.2, higher_is_better=False) is None
        True
    """
    if math.isnan(level):
        raise fail("level", "a number", level, "choose what to reach")
    if isinstance(values, Tensor):
        if values.ndim != 1:
            raise fail("values", "shape (E,)", tuple(values.shape), "give one value per epoch")
        # in its own precision, where .9 is at the level .9
        reached = (values >= level if higher_is_better else values <= level).tolist()
    else:
        reached = [value >= level if higher_is_better else value <= level for value in values]
    return next((epoch for epoch, there in enumerate(reached, 1) if there), None)
