"""Settings of a network that another package defines: a table of numbers, texts, lists and tables."""

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator


def frozen(value: Any) -> Any:
    """Return a setting with tuples for lists, so that equal specifications compare equal.

    Example:
        >>> frozen({"widths": [1, 2], "deep": {"a": [[3]]}})
        {'widths': (1, 2), 'deep': {'a': ((3,),)}}
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("finite numbers")
    if isinstance(value, Mapping):
        return {str(key): frozen(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return tuple(frozen(entry) for entry in value)
    if value is None or isinstance(value, str | int | float):
        return value
    raise ValueError("text, numbers, true, false, lists and tables")


def written(value: Any) -> Any:
    """Return a setting as TOML reads it: with lists for tuples."""
    if isinstance(value, Mapping):
        return {key: written(entry) for key, entry in value.items()}
    return [written(entry) for entry in value] if isinstance(value, tuple) else value


Settings = Annotated[dict[str, Any], AfterValidator(frozen)]
