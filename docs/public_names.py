"""The public names of the package, and which page describes each of them."""

import importlib
import inspect
import re
from functools import cache
from pathlib import Path
from typing import Any

from cards import CARDS, GROUPS, Method
from docstrings import FACTS, Doc, parse

from softtargets import integrations
from softtargets.integrations._late import WITHOUT_BASES

ROOT = Path(__file__).resolve().parents[1]
ROOMS = (
    "targets",
    "losses",
    "distill",
    "nn",
    "noise",
    "noise.estimators",
    "metrics",
    "calibration",
    "analysis",
    "matrices",
)


@cache
def public() -> dict[str, Any]:
    """Return every public name of the package, as `room.name`."""
    rooms = {room: importlib.import_module(f"softtargets.{room}") for room in ROOMS}
    places = ((room, name, getattr(module, name)) for room, module in rooms.items() for name in module.__all__)
    # a name that is re-exported has its page in the room that defines it
    own = {
        f"{room}.{name}": thing for room, name, thing in places if thing.__module__.split(".")[1] == room.split(".")[0]
    }
    modules = [importlib.import_module(f"softtargets.integrations.{name}") for name in integrations.__all__]
    names = [(module, name, f"{module.__name__}.{name}") for module in modules for name in module.__all__]
    found = {full: WITHOUT_BASES.get(full) or getattr(module, name) for module, name, full in names}
    return own | {name.removeprefix("softtargets."): thing for name, thing in found.items()}


@cache
def doc_of(name: str) -> Doc:
    return parse(name, inspect.getdoc(public()[name]) or "")


@cache
def described() -> dict[str, Method]:
    """Return the methods that a docstring describes, by public name; the title is the first line up to its colon."""
    return {name: _described(name, doc_of(name)) for name in public() if "References" in doc_of(name).sections}


def _described(name: str, doc: Doc) -> Method:
    also, topics = (" ".join(doc.sections.get(part, "").split()).removesuffix(".") for part in FACTS)
    return Method(
        title=doc.summary.partition(":")[0],
        source=" ".join(doc.sections["References"].split()).removesuffix("."),
        code=(name,),
        also=tuple(filter(None, also.split("; "))),
        topics=tuple(filter(None, topics.split(", "))),
    )


@cache
def methods() -> dict[str, Method]:
    """Return every method by the name of its page, sorted by title."""
    found = {**{slug_of(method.title): method for method in described().values()}, **CARDS}
    return dict(sorted(found.items(), key=lambda item: item[1].title.lower()))


@cache
def references() -> dict[str, tuple[str, ...]]:
    """Return the names that are on no method's page, by the name of their page: a function together with its class."""
    of_methods = {name for method in methods().values() for name in method.code}
    pages: dict[str, list[str]] = {}
    for name in sorted(set(public()) - of_methods, key=lambda name: (name.lower(), inspect.isclass(public()[name]))):
        pages.setdefault(slug_of_name(name), []).append(name)
    return {
        slug: tuple(sorted(names, key=lambda name: inspect.isclass(public()[name]))) for slug, names in pages.items()
    }


def slug_of(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def slug_of_name(name: str) -> str:
    """Return the page of a public name; `smooth_ece` and `SmoothECE` share one."""
    return slug_of(re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name))


def group_of(method: Method) -> str:
    """Return the index heading of a method: that of its module, by the longest prefix."""
    if not method.code:
        return method.group
    module = public()[method.code[0]].__module__.removeprefix("softtargets.")
    fitting = {prefix: title for title, prefixes in GROUPS.items() for prefix in prefixes}
    return fitting[max((prefix for prefix in fitting if f"{module}.".startswith(f"{prefix}.")), key=len)]


def source_of(name: str) -> Path:
    return Path(inspect.getfile(inspect.unwrap(public()[name])))


def tests_of(name: str) -> Path:
    """Return the test file that mirrors the source file of a name."""
    place = source_of(name).relative_to(ROOT / "src" / "softtargets").with_suffix("")
    return ROOT / "tests" / place.parts[0] / f"test_{'_'.join(part.strip('_') for part in place.parts)}.py"


def groups() -> list[str]:
    """Return the headings of the index that have a method."""
    used = {group_of(method) for method in methods().values()}
    return [title for title in GROUPS if title in used]
