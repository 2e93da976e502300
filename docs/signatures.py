"""Signatures as Python code."""

import inspect
import re
import textwrap
from typing import Any, get_overloads


def parameters_of(function: Any) -> list[list[inspect.Parameter]]:
    """Return the parameters of a function or class, once for each of its overloads.

    An overload states what distinguishes it: ``...`` stands for the implementation's default, and ``**options`` for all
    parameters that no overload names.
    """
    implemented = inspect.signature(function).parameters
    overloads = [inspect.signature(one).parameters for one in get_overloads(function)] if callable(function) else []
    if not overloads:
        return [list(implemented.values())]
    named = {name for one in overloads for name in one}
    shared = [p.replace(kind=p.KEYWORD_ONLY) for p in implemented.values() if p.name not in named]
    found = []
    for one in overloads:
        own = [p.replace(default=implemented[p.name].default) if p.default is ... else p for p in one.values()]
        options = any(p.kind is p.VAR_KEYWORD for p in own)
        found.append([*(p for p in own if p.kind is not p.VAR_KEYWORD), *(shared if options else ())])
    return found


def signature(name: str, function: Any) -> str:
    """Return the call of a function or class in Python, a line for each overload."""
    lines = []
    for parameters in parameters_of(function):
        bare = [p.replace(annotation=inspect.Parameter.empty) for p in parameters if p.name not in ("self", "cls")]
        text = re.sub(r"<function (\w+) at \w+>", r"\1", f"{name}{inspect.Signature(bare)}")
        lines.append(textwrap.fill(text, 100, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False))
    return "\n".join(lines)
