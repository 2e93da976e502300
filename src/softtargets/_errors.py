"""The error messages of the package, and the nearest valid name. Does not import torch, for the command line."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Bad input: the message names the argument, what is required, what was passed and what to do."""


class InputTypeError(TypeError):
    """Like :class:`InputError`, if the type rather than the value is wrong."""


def sentence(argument: str, required: str, got: object, remedy: str) -> str:
    """Return ``argument: what is required; got what; what to do``."""
    return f"{argument}: {required}; got {got}; {remedy}"


def fail(argument: str, required: str, got: object, remedy: str) -> InputError:
    """Build (for the caller to raise) the error of a bad value."""
    return InputError(sentence(argument, required, got, remedy))


def fail_type(argument: str, required: str, got: object, remedy: str) -> InputTypeError:
    """Build (for the caller to raise) the error of a bad type."""
    return InputTypeError(sentence(argument, required, got, remedy))


def shortened(text: str, limit: int = 80) -> str:
    """Return a text that a user wrote for an error: a long one is cut, with the number of its characters.

    Example:
        >>> shortened("9" * 5000, limit=3)
        '999... (5000 characters)'
    """
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"


def unknown(argument: str, got: object, known: Iterable[str]) -> InputError:
    """Build the error of an unknown name: the nearest known name first, then all of them.

    Example:
        >>> str(unknown("study", "lukasik", ["lukasik2020", "shen2021"]))
        "study: one of lukasik2020, shen2021; got 'lukasik'; did you mean 'lukasik2020'?"
    """
    names = list(dict.fromkeys(known))
    close = nearest(got, names) if isinstance(got, str) else None
    remedy = f"did you mean '{close}'?" if close is not None else "use one of these names"
    return fail(
        argument, f"one of {', '.join(names) or '(none)'}", f"'{got}'" if isinstance(got, str) else repr(got), remedy
    )


def nearest(got: str, known: Iterable[str], *, cutoff: float = 0.5) -> str | None:
    """Return the known name most similar to `got`, or None if none is similar enough.

    Args:
        got: the name that was given.
        known: the valid names.
        cutoff: smallest similarity in [0, 1], as measured by difflib; 1 is the same name up to case.
    """
    names = list(known)
    folded = {name.casefold(): name for name in names}
    close = difflib.get_close_matches(got.casefold(), folded, n=1, cutoff=cutoff)
    return folded[close[0]] if close else None
