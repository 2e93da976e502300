"""Activations in the plane through the templates of three classes, one panel for each cell and split."""

from dataclasses import dataclass
from itertools import product
from typing import Any, Self

import altair as alt

from softtargets.measures.subject import Subject
from softtargets.report import palette
from softtargets.report.drawing import Build, Drawing, Panel, Series, Style, extent
from softtargets.studies.outputs.evidence import Evidence
from softtargets.studies.outputs.kind import OutputKind, output_kind
from softtargets.studies.outputs.series import FigureCells, keyed
from softtargets.studies.records import CellKey, CellRecord
from softtargets.studies.results import StudyResults
from softtargets.studies.schema import Output

WRONG = Series("wrong label", "ink", "diamond", palette.DASHES[0], dots=True)
SPLITS = {"train": "training examples", "validation": "validation examples", "test": "test examples"}
# Number of examples shown for each class and split.
POINTS = 100
_HEIGHT = 300
_DOT, _TEMPLATE = 26, 260


@dataclass(frozen=True)
class Projected:
    """Activations of three classes in the plane through their templates (Müller et al. 2019, Sec. 2), of one run.

    Args:
        key: arm, level and noise.
        seed: seed of the run.
        split: train, validation or test.
        classes: names of the three classes: two similar ones and a different one.
        labels: (M) index of the true label among the three classes.
        wrong: (M) whether the observed label is wrong.
        x, y: (M) coordinates.
        templates: rows of the last layer for the three classes, in the same plane.
    """

    key: CellKey
    seed: int
    split: str
    classes: tuple[str, str, str]
    labels: tuple[int, ...]
    wrong: tuple[bool, ...]
    x: tuple[float, ...]
    y: tuple[float, ...]
    templates: tuple[tuple[float, float], ...]


@output_kind("projection")
@dataclass(frozen=True)
class ProjectionOutput(OutputKind):
    """Three classes in the plane of their templates, for the first seed of each cell."""

    takes_splits = True
    needs_classes = "a projection"
    projections: tuple[Projected, ...] = ()

    @classmethod
    def gather(cls, output: Output, evidence: Evidence) -> Self:
        return cls(evidence.gathered(output, output.splits or ("train", "test"), _gather))

    def draw(self, results: StudyResults, output: Output) -> Drawing:
        """Draw the projections of an output, the splits of a cell side by side."""
        figure, found = FigureCells(results, output), keyed(self.projections, "split")
        places = [place for place in product(figure.keys, output.splits or SPLITS) if place in found]
        shown: list[Projected] = [found[place] for place in places]
        series, panels = [], []
        for projected in shown:
            for place, name in enumerate(map(class_label, projected.classes)):
                look = palette.SERIES[place], palette.SHAPES[place], palette.DASHES[0]
                series.append(Series(name, *look, dots=True))
            title = " · ".join(filter(None, [figure.name(projected.key), figure.noise(projected.key.noise)]))
            panels.append(Panel(title, _chart(projected), SPLITS[projected.split]))
        wrong = any(any(projected.wrong) for projected in shown)
        splits = len({projected.split for projected in shown})
        seeds = sorted({projected.seed for projected in shown})
        note = (
            "Large crosses: templates of the classes. Both axes of a panel have the same unit; each panel has its own "
        )
        note += f"scale. One run for each panel, seed {', '.join(map(str, seeds))}."
        note += " Diamonds: examples of these classes with a wrong label." if wrong else ""
        drawn = tuple(dict.fromkeys([*series, *[WRONG] * wrong]))
        return Drawing(drawn, tuple(panels), note, _HEIGHT, columns=splits if splits > 1 else 3)


def _gather(evidence: Evidence, key: CellKey, split: str) -> Projected | None:
    record = next(iter(evidence.complete(key)), None)
    return record and evidence.guarded(record, lambda record: _project(evidence, record, split))


def _project(evidence: Evidence, record: CellRecord, split: str) -> Projected:
    what = {"figure": "projection", "split": split, "classes": evidence.classes, "points": POINTS}
    found = evidence.kept(record, what, lambda subject: _points(subject, split))
    return Projected(
        key=record.key,
        seed=record.seed,
        split=split,
        classes=tuple(found["names"]),
        labels=tuple(found["labels"]),
        wrong=tuple(found["wrong"]),
        x=tuple(found["x"]),
        y=tuple(found["y"]),
        templates=tuple((x, y) for x, y in found["templates"]),
    )


def _points(subject: Subject, split: str) -> dict[str, Any]:
    """Return a projection as JSON data; labels are indices among the three classes."""
    places = subject.of_classes(split, POINTS)
    found = subject.projected(split, places)
    wrong = subject.predictions[f"{split}.observed"][places] != found.labels
    return {
        "names": [subject.class_names[name] for name in subject.classes],
        "labels": [subject.classes.index(label) for label in found.labels.tolist()],
        "wrong": wrong.tolist(),
        "x": found.points[:, 0].tolist(),
        "y": found.points[:, 1].tolist(),
        "templates": found.templates.tolist(),
    }


def class_label(name: str) -> str:
    """Return the name of a class, with the word "class" if it is a number."""
    return f"class {name}" if name.isdecimal() else name


def _chart(projected: Projected) -> Build:
    names = [class_label(name) for name in projected.classes]
    points = [
        {"series": WRONG.label if wrong else names[label], "x": x, "y": y, "True": names[label]}
        for label, wrong, x, y in zip(projected.labels, projected.wrong, projected.x, projected.y, strict=True)
    ]
    # wrong labels are drawn last, on top
    points.sort(key=lambda point: point["series"] == WRONG.label)
    crosses = [
        {"series": name, "x": x, "y": y, "True": f"template of {name}"}
        for name, (x, y) in zip(names, projected.templates, strict=True)
    ]

    def build(style: Style) -> alt.LayerChart:
        every = [*points, *crosses]
        x_scale, y_scale = style.equal(*(extent(every, axis, axis, 0.08) for axis in ("x", "y")))
        x = alt.X("x:Q", title=None, scale=x_scale, axis=alt.Axis(grid=False, tickCount=4))
        y = alt.Y("y:Q", title=None, scale=y_scale, axis=alt.Axis(grid=False, tickCount=4))
        tooltip = [alt.Tooltip("series:N", title="Shown as"), alt.Tooltip("True:N", title="True class")]
        look: dict[str, Any] = {"x": x, "y": y, "color": style.colour(), "tooltip": tooltip}
        dots = style.base(points).mark_point(filled=True, size=_DOT, clip=True)
        marks = style.base(crosses).mark_point(shape="cross", filled=True, size=_TEMPLATE, clip=True)
        outline = {"stroke": style.paint("ink"), "strokeWidth": 1.2}
        return alt.LayerChart(
            layer=[
                dots.encode(**look, shape=style.shape(), opacity=style.emphasis(0.75)),
                marks.encode(**look, opacity=style.emphasis(), **{k: alt.value(v) for k, v in outline.items()}),
            ]
        )

    return build
