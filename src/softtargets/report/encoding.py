"""Results as other programs take them."""

import json
import math
from typing import Any


def as_json(data: Any) -> bytes:
    """Return readable JSON, null for what it knows no number for."""
    return (json.dumps(finite(data), indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def pretty(data: Any) -> str:
    """Return JSON for reading; what JSON does not know stands as text."""
    return json.dumps(data, indent=2, ensure_ascii=False, default=str)


def finite(value: Any) -> Any:
    """Return data with None for numbers that are not finite."""
    if isinstance(value, dict):
        return {name: finite(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def inert(name: str) -> str:
    """Return a name as a spreadsheet may have it, which takes what begins so for a formula: with a quote before it."""
    return f"'{name}" if name.startswith(("=", "+", "-", "@")) else name
