"""Results in the formats of other programs."""

import json
import math
import unicodedata
from typing import Any

# Controls, halves of surrogate pairs (undecodable bytes of a file name), and line and paragraph separators.
_ESCAPED_CATEGORIES = ("Cc", "Cs", "Zl", "Zp")
# Characters that reverse the direction of the text after them.
_DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def printable(text: str) -> str:
    r"""Return text in which every control character, undecodable byte and change of direction is an escape.

    Example:
        >>> printable("a\x1b[31m.npz"), printable("caf\udce9")
        ('a\\x1b[31m.npz', 'caf\\udce9')
    """
    return "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    if unicodedata.category(character) in _ESCAPED_CATEGORIES or character in _DIRECTIONS:
        return character.encode("unicode_escape", "surrogatepass").decode("ascii")
    return character


def encodable(text: str) -> str:
    r"""Return text in which only undecodable bytes are escapes, so that it can be written as UTF-8.

    Example:
        >>> encodable("barn\nowl \udce9")
        'barn\nowl \\udce9'
    """
    return text.encode("utf-8", "backslashreplace").decode()


def as_json(data: Any) -> bytes:
    """Return indented JSON. Numbers that JSON cannot represent (NaN, infinity) become null."""
    return (json.dumps(finite(data), indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def pretty(data: Any) -> str:
    """Return indented JSON for display. Values that JSON cannot represent become text."""
    return json.dumps(data, indent=2, ensure_ascii=False, default=str)


def finite(value: Any) -> Any:
    """Return the data with None in place of numbers that are not finite."""
    if isinstance(value, dict):
        return {name: finite(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def escape_csv_formula(name: str) -> str:
    """Return a name with a leading quote if a spreadsheet would read it as a formula."""
    return f"'{name}" if name.startswith(("=", "+", "-", "@")) else name
