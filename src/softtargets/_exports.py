"""What a room offers: the names that its files list in ``__all__``, and advice for names from other libraries."""

import dis
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import NoReturn

from softtargets._errors import nearest


def exported(room: Mapping[str, object]) -> list[str]:
    """Return the public names of the package that a room, given as its namespace, has taken from its files."""
    own = (name for name, value in room.items() if getattr(value, "__module__", "").startswith("softtargets."))
    return sorted(name for name in own if not name.startswith("_"))


def advice(module: str) -> Callable[[str], NoReturn]:
    """Return the ``__getattr__`` of a room: it raises :func:`advise`'s error."""

    def __getattr__(name: str) -> NoReturn:
        raise advise(module, name, depth=2)

    return __getattr__


def advise(module: str, name: str, *, depth: int = 2) -> AttributeError | ImportError:
    """Build the error of a module that lacks a name: it names what the caller is probably looking for.

    Names that other libraries use are found in the ``Aliases`` section of the docstrings of all rooms; any other name
    is compared with all public names.

    Args:
        module: ``__name__`` of the module that was asked.
        name: that it lacks.
        depth: frames between this function and the code that asked.
    """
    message = f"module '{module}' has no attribute '{name}'"
    if not name.startswith("_") and (found := _look_up(module.rpartition(".")[2], name)):
        message += f"; use {found}"
    # `from room import name` would replace the text of an AttributeError by its own
    return ImportError(message) if _imports_from(sys._getframe(depth)) else AttributeError(message)


def _imports_from(frame: object) -> bool:
    code, at = frame.f_code.co_code, frame.f_lasti  # pyright: ignore[reportAttributeAccessIssue]
    return code[at] == dis.opmap["IMPORT_FROM"]


def _look_up(own: str, name: str) -> str | None:
    known: dict[str, str] = {}
    aliases: dict[str, str] = {}
    for room, public, text in _public_names():
        place = f"{room}.{public}"
        # a name of the room that was asked wins over the same name elsewhere
        if room == own or _folded(public) not in known:
            known[_folded(public)] = place
        for alias in _aliases(text):
            if room == own or _folded(alias) not in aliases:
                aliases[_folded(alias)] = place
    ours = [folded for folded, place in (known | aliases).items() if place.startswith(f"{own}.")]
    for names, cutoff in ((ours, 0.8), ([*known, *aliases], 1.0), (ours, 0.7), ([*known, *aliases], 0.75)):
        close = nearest(_folded(name), names, cutoff=cutoff)
        if close is not None:
            break
    else:
        return None
    found = known.get(close, aliases.get(close, ""))
    return f"nn.Loss({found}, ...)" if own == "nn" and found.startswith("losses.") else found


def _public_names() -> Iterator[tuple[str, str, str]]:
    package = importlib.import_module("softtargets")
    for room in package.__all__:
        for public in getattr(getattr(package, room), "__all__", ()):
            thing = getattr(getattr(package, room), public)
            if not inspect.ismodule(thing):
                yield room, public, inspect.getdoc(thing) or ""


def _aliases(text: str) -> list[str]:
    section = re.search(r"^Aliases:\n((?:    .*\n?|\n)+)", text, re.MULTILINE)
    return [] if section is None else [alias.strip() for alias in " ".join(section[1].split()).split(";")]


def _folded(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
