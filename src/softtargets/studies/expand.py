"""The runs of a study as specifications."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from softtargets._errors import fail, unknown
from softtargets._spec import merged
from softtargets.data.spec import AugmentationSpec
from softtargets.report.numbers import duration
from softtargets.runs.spec import RunSpec
from softtargets.runs.training import Seeds
from softtargets.studies.arms import ZERO, OtherArm, Scale
from softtargets.studies.records import CellKey
from softtargets.studies.request import MOST_SEEDS, DataChoice
from softtargets.studies.schema import Noise, Study, Term


@dataclass(frozen=True)
class PlannedRun:
    """A cell of a study at one seed, and its run specification."""

    key: CellKey
    seed: int
    run: RunSpec


def select_outputs(study: Study, output: str | None) -> tuple[str, ...]:
    """Return the selected outputs: one output, those of a setting, or all that are not part of a setting.

    Raises:
        InputError: no such output, with the nearest name.
    """
    if output is None or output in study.settings:
        return tuple(name for name, item in study.outputs.items() if item.setting == output)
    if output not in study.outputs:
        raise unknown("output", output, [*study.outputs, *study.settings])
    return (output,)


def check_scale(study: Study, scale: str) -> None:
    """Require a scale of the study."""
    if scale not in study.scales:
        raise unknown("scale", scale, study.scales)


def differences(study: Study, scale: str, data: DataChoice | None = None) -> tuple[str, ...]:
    """Return the differences from the paper at a scale, with the data of the study or of the user."""
    settings = study.scales[scale]  # pyright: ignore[reportArgumentType]
    on_data = settings.data_differs if data is None else (f"Data: {data.name}, chosen by the user.",)
    return (*study.differs, *on_data, *settings.differs)


def cells_of(study: Study, scale: str, outputs: Iterable[str]) -> list[CellKey]:
    """Return the cells of some outputs and their claims, without duplicates, in the order of the study."""
    wanted = set(outputs)
    keys: dict[CellKey, None] = {}
    for name, output in study.outputs.items():
        if name in wanted and output.unavailable is None:
            for arm in output.arms:
                for level, noise in product(study.arm_levels(arm, output, scale), output.noise):
                    keys[cell(study, arm, level, noise)] = None
    for claim in study.claims:
        if claim.output in wanted:
            for term in claim.terms:
                keys.update(dict.fromkeys(term_cells(study, term, scale)))
    return list(keys)


def cell(study: Study, arm: str, level: float, noise: Noise) -> CellKey:
    """Return the cell of an arm at a level; at level 0 of a swept key it is that of the baseline."""
    name = study.arm_at(arm, level)
    return CellKey(name, level if study.arms[name].sweep is not None else ZERO, noise)


def term_cells(study: Study, term: Term, scale: str) -> list[CellKey]:
    """Return the cells over which a term averages."""
    levels = study.levels(term.level, scale)
    return [cell(study, arm, level, noise) for arm, level, noise in product(term.arms, levels, term.noises)]


def trained_cells(study: Study, key: CellKey) -> tuple[CellKey, ...]:
    """Return the cells whose runs a cell is measured from: itself, or those of its members."""
    members = study.arms[key.arm].members
    return tuple(cell(study, member, ZERO, key.noise) for member in members) or (key,)


def expand(
    study: Study,
    scale: str,
    outputs: Iterable[str],
    *,
    seeds: int | None = None,
    first: int = 0,
    data: DataChoice | None = None,
    places: Mapping[str, str] | None = None,
) -> list[PlannedRun]:
    """Return all runs of some outputs at a scale, ordered by seed, so that an interrupted study has complete pairs.

    Args:
        study: the study.
        scale: smoke, desk or paper.
        outputs: names of outputs.
        seeds: number of seeds; None: that of the scale.
        first: the first seed.
        data: replaces the data sets of the scale and of its noises; their limits are kept.
        places: local paths of data sets, by their names in the study.

    Raises:
        InputError: an invalid specification, with the key; too many seeds; or a place that names no data set.
    """
    settings = study.scales[scale]  # pyright: ignore[reportArgumentType]
    if places:
        settings = _placed(settings, places)
    keys = dict.fromkeys(own for key in cells_of(study, scale, outputs) for own in trained_cells(study, key))
    count = settings.seeds if seeds is None else seeds
    if count > MOST_SEEDS:
        runs = len(keys) * count
        got = f"{count:,}, which is {runs:,} runs ({duration(runs)} at one second each)"
        raise fail("seeds", f"at most {MOST_SEEDS:,}", got, "choose fewer seeds")
    if data is not None:
        settings = _on_data(settings, data)
    numbers = range(first, first + count)
    return [PlannedRun(key, seed, _specify(study, settings, key, seed)) for seed in numbers for key in keys]


def without_augmentation(planned: Iterable[PlannedRun]) -> list[PlannedRun]:
    """Return the same runs and teachers without augmentation, which is defined only for images."""
    return [replace(item, run=_unaugmented(item.run)) for item in planned]


def _unaugmented(run: RunSpec) -> RunSpec:
    teachers = None if run.teachers is None else tuple(_unaugmented(teacher) for teacher in run.teachers)
    start = None if run.init_from is None else _unaugmented(run.init_from)
    return run.changed(augmentation=AugmentationSpec(), teachers=teachers, init_from=start)


def _placed(settings: Scale, places: Mapping[str, str]) -> Scale:
    """Return a scale whose data sets are read from local paths.

    A copy may call its image column by another name than the hub does. The name is therefore dropped, and the only
    image column is read.
    """
    tables = [settings.run, *settings.noises.values()]
    known = [table["data"]["name"] for table in tables if "name" in table.get("data", {})]
    for name in places:
        if name not in known:
            raise unknown("--at", name, known)

    def placed(table: dict[str, Any]) -> dict[str, Any]:
        data = {key: value for key, value in table.get("data", {}).items() if key != "image"}
        return {**table, "data": {**data, "name": places[data["name"]]}} if data.get("name") in places else table

    noises = {name: placed(table) for name, table in settings.noises.items()}
    return settings.changed(run=placed(settings.run), noises=noises)


def _on_data(settings: Scale, data: DataChoice) -> Scale:
    """Return a scale with the data set of the user instead of its own."""
    chosen: dict[str, Any] = {"name": data.name}
    if data.label is not None:
        chosen["label"] = data.label
    if "limit" in settings.run.get("data", {}):
        chosen["limit"] = settings.run["data"]["limit"]
    noises = {name: {k: v for k, v in table.items() if k != "data"} for name, table in settings.noises.items()}
    return settings.changed(run={**settings.run, "data": chosen}, noises=noises)


def _specify(study: Study, settings: Scale, key: CellKey, seed: int) -> RunSpec:
    place = f"study {study.name}, arm {key.arm} at {key.level:g}"
    return RunSpec.parse(_specification(study, settings, key, seed), source=place)


def _specification(study: Study, settings: Scale, key: CellKey, seed: int) -> dict[str, Any]:
    arm, base = study.arms[key.arm], settings.run
    special = dict(settings.noises.get(str(key.noise), {}))
    by_role = special.pop("roles", {})
    layers = [settings.roles.get(arm.role, {}) if arm.role else {}, special, by_role.get(arm.role, {}), arm.run]
    for layer in layers:
        base = merged(base, layer)
    seeds = dict.fromkeys(Seeds.model_fields, seed + arm.seed_offset)
    change: dict[str, Any] = {"objective": arm.objective_at(key.level), "seeds": {**seeds, "noise": seed}}
    noise = study.noise_specification(key.noise)
    if noise is not None:
        change["noise"] = _beside_data(noise, base.get("data", {}))

    def needed(other: OtherArm) -> list[dict[str, Any]]:
        level = key.level if other.level is None else other.level
        own = trained_cells(study, cell(study, other.arm, level, key.noise))
        return [_specification(study, settings, one, seed) for one in own]

    if arm.teachers:
        change["teachers"] = [run for teacher in arm.teachers for run in needed(teacher)]
    if arm.init_from is not None:
        (change["init_from"],) = needed(arm.init_from)
    return merged(base, change)


def _beside_data(noise: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    """Resolve a relative file of recorded labels against the folder of the data set, if that is a local path."""
    folder = Path(str(data.get("name", ""))).expanduser()
    if "file" not in noise or not folder.exists():
        return noise
    return {**noise, "file": str(folder / noise["file"])}
