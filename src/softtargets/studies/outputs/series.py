"""How an arm, and each of its cells, is drawn and called: the same in every figure of a study."""

from collections.abc import Iterable

from softtargets.report import numbers, palette
from softtargets.report.drawing import Series
from softtargets.studies.layout import arm_label
from softtargets.studies.records import CellKey
from softtargets.studies.schema import Study


def arm_series(study: Study) -> dict[str, Series]:
    """Return how each arm is drawn, the same in every figure of the study; students have their teacher's colour."""
    others = [arm for arm in study.arms if arm != study.baseline]
    families: dict[tuple[str, ...], list[str]] = {}
    for arm in others:
        teachers = tuple(teacher.arm for teacher in study.arms[arm].teachers)
        families.setdefault(teachers if teachers else (arm,), []).append(arm)
    drawn = {study.baseline: Series(arm_label(study, study.baseline), "baseline", palette.SHAPES[0], palette.DASHES[0])}
    for place, members in enumerate(families.values()):
        students = [arm for arm in members if study.arms[arm].teachers]
        for arm in members:
            i = others.index(arm)
            dash = students.index(arm) if arm in students else i
            drawn[arm] = Series(
                label=arm_label(study, arm),
                colour=palette.SERIES[place % len(palette.SERIES)],
                shape=palette.SHAPES[(i + 1) % len(palette.SHAPES)],
                dash=palette.DASHES[dash % len(palette.DASHES)],
            )
    return drawn


def levels_of(keys: Iterable[CellKey]) -> dict[str, list[float]]:
    """Return the levels of each arm among some cells, in ascending order."""
    found: dict[str, set[float]] = {}
    for key in keys:
        found.setdefault(key.arm, set()).add(key.level)
    return {arm: sorted(levels) for arm, levels in found.items()}


def cell_name(study: Study, key: CellKey, levels: list[float]) -> str:
    """Return the label of a cell's arm, with its level where the arm has several in the figure."""
    label = arm_label(study, key.arm)
    return label if len(levels) == 1 else f"{label}, {study.level_name} = {numbers.level(key.level)}"
