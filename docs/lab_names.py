"""The public names of the packages of the lab, from their `__all__`."""

import importlib
import pkgutil
from typing import Any

from public_names import ROOMS

import softtargets


def lab_rooms() -> dict[str, dict[str, Any]]:
    """Return the classes and functions of every package of the lab that has public ones, by package."""
    found = {}
    for info in pkgutil.iter_modules(softtargets.__path__):
        if (
            not info.ispkg
            or info.name.startswith("_")
            or info.name in {room.split(".")[0] for room in ROOMS} | {"integrations"}
        ):
            continue
        room = importlib.import_module(f"softtargets.{info.name}")
        things = {name: getattr(room, name) for name in getattr(room, "__all__", [])}
        things = {
            name: thing for name, thing in things.items() if getattr(thing, "__module__", "").startswith(room.__name__)
        }
        if things:
            found[info.name] = things
    return found
