"""Styles and labels of arms and cells, the same in all figures of a study."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from softtargets.report import numbers, palette
from softtargets.report.drawing import Series
from softtargets.studies.arms import ZERO
from softtargets.studies.layout import arm_label, axis_phrase, axis_values, cells, places
from softtargets.studies.records import CellKey
from softtargets.studies.results import StudyResults
from softtargets.studies.schema import Noise, Output, Study

Found = TypeVar("Found")


class FigureCells:
    """The cells of an output, with their styles and labels in its figure and table."""

    def __init__(self, results: StudyResults, output: Output) -> None:
        self.results, self.study = results, results.study
        self.keys = cells(self.study, output, results.scale)
        self.arms = arm_series(self.study)
        values = axis_values(self.study, output, results.scale)
        self.noises: tuple[Noise, ...] = values["noise"]
        self.places = places(self.study, output, results.scale)
        self._levels: tuple[float, ...] = values["level"]
        # the levels of each arm, in ascending order
        self._ranks = {arm: sorted({key.level for key in self.keys if key.arm == arm}) for arm, _, _ in self.keys}

    def shown(self, known: Mapping[tuple[CellKey, str], Found], noise: Noise, name: str) -> dict[CellKey, Found]:
        """Return the known data of the cells of a kind of noise, for the name of a metric or split."""
        return {key: known[key, name] for key in self.keys if key.noise == noise and (key, name) in known}

    def rank(self, key: CellKey) -> int:
        """Return the rank of a cell's level among the levels of its arm."""
        return self._ranks[key.arm].index(key.level)

    def name(self, key: CellKey) -> str:
        """Return the label of a cell's arm, with the level if the arm has several levels in the figure."""
        label = arm_label(self.study, key.arm)
        several = len(self._ranks[key.arm]) > 1
        return f"{label}, {self.study.level_name} = {numbers.level(key.level)}" if several else label

    def look(self, key: CellKey) -> Series:
        """Return the style of a cell: that of its arm, with different dashes if the figure has several levels."""
        look = self.arms[key.arm]
        dash = dash_of(self.rank(key)) if len(self._ranks[key.arm]) > 1 else look.dash
        return Series(self.name(key), look.colour, look.shape, dash)

    def noise(self, noise: Noise) -> str:
        """Return the label of a kind of noise; empty text if the figure has only one."""
        return axis_phrase(self.study, "noise", noise) if len(self.noises) > 1 else ""

    def missing(self, key: CellKey, name: str, runs: int) -> list[str]:
        """Return how many of its complete runs are shown, unless all are."""
        complete = sum(record.status == "complete" for record in self.results.records(key))
        return [f"{name}: {runs} of {complete} runs."] if runs < complete else []

    def arms_of(self, panels: Iterable[Sequence[Mapping[str, Any]]]) -> tuple[Series, ...]:
        """Return the styles of the arms with rows in any panel."""
        used = {row["series"] for rows in panels for row in rows}
        return tuple(self.arms[arm] for arm in self.study.arms if self.arms[arm].label in used)

    @property
    def levels(self) -> list[str]:
        """The levels above 0 in a sentence; empty if there are none."""
        levels = [numbers.level(level) for level in self._levels if level != ZERO]
        return [f"{self.study.level_name} = {', '.join(levels)}."] if levels else []


def keyed(items: tuple[Any, ...], name: str) -> dict[tuple[CellKey, str], Any]:
    """Return the items by cell and one more attribute."""
    return {(item.key, getattr(item, name)): item for item in items}


def dash_of(place: int) -> tuple[int, ...]:
    """Return a dash; dashes repeat beyond their number."""
    return palette.DASHES[place % len(palette.DASHES)]


def arm_series(study: Study) -> dict[str, Series]:
    """Return the style of each arm, the same in all figures; students have the colour of their teacher."""
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
                dash=dash_of(dash),
            )
    return drawn
