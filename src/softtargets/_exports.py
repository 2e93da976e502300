"""What a room offers: the names that its files list in ``__all__``, and advice for names from other libraries."""

import dis
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import NoReturn

from softtargets._errors import nearest

# letters of a public name that is recognised within a longer name
_LEAST_CONTAINED = 5


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
        module: ``__name__`` of the module.
        name: the name that it lacks.
        depth: frames between this function and the code that used the name.
    """
    message = f"module '{module}' has no attribute '{name}'"
    if not name.startswith("_") and (found := _look_up(module.rpartition(".")[2], name)):
        message += f"; {found}"
    # `from room import name` would replace the text of an AttributeError by its own
    return ImportError(message) if _imports_from(sys._getframe(depth)) else AttributeError(message)


def _imports_from(frame: object) -> bool:
    code, at = frame.f_code.co_code, frame.f_lasti  # pyright: ignore[reportAttributeAccessIssue]
    return code[at] == dis.opmap["IMPORT_FROM"]


def _look_up(own: str, name: str) -> str | None:
    """Suggest the intended name: a class for a class, an exact match before a similar one, this room first."""
    known = [(text, f"{room}.{public}") for room, public, doc in _public_names() for text in (public, *_aliases(doc))]
    for same_case in (True, False):
        for cutoff in (1.0, 0.85):
            for rooms in (f"{own}.", ""):
                found = {
                    _folded(text): place
                    for text, place in reversed(known)
                    if place.startswith(rooms) and (not same_case or (text == text.lower()) == (name == name.lower()))
                }
                close = nearest(_folded(name), found, cutoff=cutoff)
                if close is not None:
                    place = found[close]
                    place = f"nn.Loss({place}, ...)" if own == "nn" and place.startswith("losses.") else place
                    return f"use {place}" if cutoff == 1.0 else f"did you mean {place}?"
    folded = {_folded(text): place for text, place in reversed(known) if place.startswith(f"{own}.")}
    contained = [text for text in folded if len(text) >= _LEAST_CONTAINED and text in _folded(name)]
    return f"did you mean {folded[max(contained, key=len)]}?" if contained else None


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
    return re.sub(r"[^a-z0-9]", "", name.lower()).removesuffix("loss") or "loss"
