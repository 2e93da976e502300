"""Filling the folder of a cache: locked, resumed, and never with something else."""

from collections.abc import Callable
from dataclasses import replace
from os import PathLike
from pathlib import Path

from softtargets._errors import fail, fail_type
from softtargets.distill.cache.format import HEAD, MANIFEST, PLAN, held, json_bytes, read_json, write_file
from softtargets.distill.cache.plan import Plan

# keys of a plan's record whose argument has another name
ARGUMENTS = {"seed": "generator", "draws": "n_draws"}


def path_of(folder: object) -> Path:
    """Return a folder's path."""
    if not isinstance(folder, str | PathLike):
        raise fail_type("folder", "a path", type(folder).__name__, "pass the folder first, as a str or pathlib.Path")
    return Path(folder)


def fill(folder: Path, plan: Plan, write: Callable[[Plan], None], *, keep_seed: bool = False) -> None:
    """Write what is missing of a cache.

    Args:
        folder: created if missing; must be empty or hold the same cache.
        plan: what the cache is to contain.
        write: writes the files of a plan; not called if the cache is finished.
        keep_seed: use the seed of a cache that was started before.

    Raises:
        ValueError: if the folder holds something else, or another process writes to it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with held(folder):
        plan = _begun(folder, plan, keep_seed=keep_seed)
        if not (folder / MANIFEST).exists():
            write(plan)
    found = read_json(folder / MANIFEST).get("plan")
    if found != plan.record():
        remedy = "remove its folder, and call write_cache again"
        raise fail(str(folder / MANIFEST), f"the plan in {PLAN}", "a different plan", remedy)


def _begun(folder: Path, plan: Plan, *, keep_seed: bool) -> Plan:
    """Return the plan of the folder, which must be this one; write it if the folder is empty."""
    path = folder / PLAN
    if not path.exists():
        foreign = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
        if foreign:
            remedy = "choose another folder"
            raise fail(str(folder), "an empty folder, or that of a teacher cache", f"one with {foreign[0]}", remedy)
        write_file(path, [json_bytes({**HEAD, "plan": plan.record()})])
        return plan
    old = _read_plan(path)
    if keep_seed:
        plan = replace(plan, seed=old.seed)
    for (name, value), begun in zip(plan.record().items(), old.record().values(), strict=True):
        if value != begun:
            argument, remedy = ARGUMENTS.get(name, name), "pass the same value, or choose another folder"
            raise fail(argument, f"{_short(begun)}, as {folder} was started with", _short(value), remedy)
    return plan


def _read_plan(path: Path) -> Plan:
    content = read_json(path)
    try:
        return Plan.from_record(content["plan"])
    except (KeyError, TypeError, ValueError):
        remedy = "remove its folder, and call write_cache again"
        raise fail(str(path), "the plan of a teacher cache, as it was written", "a changed one", remedy) from None


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
