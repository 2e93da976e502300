"""Mean predicted probabilities of each class: the true class, and the other classes (Shen et al. 2021, Fig. 4)."""

import math
from dataclasses import dataclass
from itertools import product
from statistics import median
from typing import Any, Self

import altair as alt
import torch

from softtargets.analysis import class_means
from softtargets.report import numbers, palette
from softtargets.report.drawing import Build, Drawing, Panel, Series, Style
from softtargets.report.plain import PlainRow, PlainTable
from softtargets.studies.outputs.evidence import Evidence
from softtargets.studies.outputs.kind import OutputKind, output_kind
from softtargets.studies.outputs.projection import SPLITS, class_label
from softtargets.studies.outputs.series import FigureCells, keyed
from softtargets.studies.records import CellKey, CellRecord
from softtargets.studies.results import StudyResults
from softtargets.studies.schema import Output

# Largest number of classes whose mean predictions are shown.
CLASSES = 100
# Largest number of classes named on the axis; more classes are sorted by the first series.
MOST_NAMED = 30
# Smaller probabilities are drawn at this value, because the axis is logarithmic.
FLOOR = 1e-6
_HEIGHT = 230
# Text and number of each column of the table.
_COLUMNS = (("Own", "own"), ("Largest", "largest"), ("Others", "others"))
_SHORT = 4
_FEW_DECADES = 300.0


@dataclass(frozen=True)
class ClassMeans:
    """Mean predicted probabilities of the examples of each class of a split, averaged over the seeds of a cell.

    `means` has a row for each of the first `len(classes)` classes; `runs` is the number of seeds.
    """

    key: CellKey
    split: str
    classes: tuple[str, ...]
    means: tuple[tuple[float, ...], ...]
    runs: int


@output_kind("classes")
@dataclass(frozen=True)
class ClassesOutput(OutputKind):
    """Mean predictions of each class of some splits, averaged over the seeds of each cell."""

    takes_splits = True
    class_means: tuple[ClassMeans, ...] = ()

    @classmethod
    def gather(cls, output: Output, evidence: Evidence) -> Self:
        return cls(evidence.gathered(output, output.splits or ("test",), _gather))

    def draw(self, results: StudyResults, output: Output) -> Drawing:
        """Draw the class means of an output, two panels for each kind of noise and split, one series for each cell."""
        figure, known = FigureCells(results, output), keyed(self.class_means, "split")
        splits = [split for split in output.splits or SPLITS if any(found == split for _, found in known)]
        series, panels, lowest, most = [], [], 1.0, 0
        for noise, split in product(figure.noises, splits):
            shown = figure.shown(known, noise, split)
            series += [_look(figure, key) for key in shown]
            rows = _rows({figure.name(key): means for key, means in shown.items()})
            if rows:
                lowest, most = min(lowest, *(row["smallest"] for row in rows)), max(most, len(rows) // len(shown))
                title = " · ".join(filter(None, [figure.noise(noise), SPLITS[split] * (len(splits) > 1)]))
                panels.append(Panel(title, _own(rows), "Mean probability of the true class"))
                panels.append(Panel(title, _others(rows), "Mean probabilities of the other classes"))
        said = f"{SPLITS[splits[0]]}" if len(splits) == 1 else "examples"
        note = (
            f"Means over the {said} of a class and over seeds. Bottom: range of the other classes; dot: largest, dash: "
        )
        note += "median."
        note += f" Values below {numbers.small(FLOOR)} are drawn at that value." if lowest < FLOOR else ""
        note += f" Classes sorted by {series[0].label}." if most > MOST_NAMED else ""
        return Drawing(tuple(dict.fromkeys(series)), tuple(panels), note, _HEIGHT, columns=1)

    def table(self, results: StudyResults, output: Output) -> PlainTable | None:
        """Return the mean probability of each class and the largest mean probability of another class."""
        figure = FigureCells(results, output)
        found = [means for means in self.class_means if means.key in figure.keys]
        groups = []
        for means in sorted(found, key=lambda means: figure.keys.index(means.key)):
            title = [figure.name(means.key), figure.noise(means.key.noise), SPLITS[means.split]]
            rows = sorted(_rows({"": means}), key=lambda row: row["place"])
            lines = tuple(PlainRow(row["class"], tuple((row[a], row[b]) for a, b in _COLUMNS)) for row in rows)
            groups.append((" · ".join(filter(None, title)), lines))
        caption = "Mean predicted probability over the examples of a class and over seeds."
        columns = ("Class", "True class", "Largest other class", "All other classes")
        return PlainTable(caption, columns, tuple(groups)) if groups else None


def _look(figure: FigureCells, key: CellKey) -> Series:
    """Return the style of a cell: squares, with different colours if an arm has several levels in the figure."""
    look, rank = figure.look(key), figure.rank(key)
    colour = palette.SERIES[(rank + len(figure.arms)) % len(palette.SERIES)] if rank else look.colour
    return Series(look.label, colour, "square", palette.DASHES[0], dots=True)


def _gather(evidence: Evidence, key: CellKey, split: str) -> ClassMeans | None:
    each = [
        class_means(predictions[f"{split}.logits"].double().softmax(-1), predictions[f"{split}.labels"])
        for predictions in evidence.predictions(key)
    ]
    if not each:
        return None
    mean = torch.stack(each).mean(0)
    # a class without an example has no mean
    present = (~mean.isnan().any(1)).nonzero()[:CLASSES, 0]

    def names_of(record: CellRecord) -> list[str]:
        return evidence.kept(record, {"figure": "class names"}, lambda subject: list(subject.class_names))

    names = evidence.guarded(evidence.complete(key)[0], names_of) or [*map(str, range(len(mean)))]
    return ClassMeans(
        key=key,
        split=split,
        classes=tuple(names[place] for place in present.tolist()),
        means=tuple(tuple(row) for row in mean[present][:, present].tolist()),
        runs=len(each),
    )


def _rows(shown: dict[str, ClassMeans]) -> list[dict[str, Any]]:
    """Return a row for each series and class with examples; classes in the order in which they are drawn."""
    if not shown:
        return []
    first = next(iter(shown.values()))
    own = [row[place] for place, row in enumerate(first.means)]
    order = list(range(len(own)))
    if len(order) > MOST_NAMED:
        order.sort(key=lambda place: -own[place] if math.isfinite(own[place]) else math.inf)
    rows = []
    for index, (name, means) in enumerate(shown.items()):
        for rank, place in enumerate(order):
            values = means.means[place]
            others = {j: value for j, value in enumerate(values) if j != place}
            if not others or not math.isfinite(values[place]):
                continue
            largest = max(others, key=lambda j: others[j])
            numbers_of = {
                "own": values[place],
                "others": sum(others.values()),
                "largest": others[largest],
                "median": median(others.values()),
                "smallest": min(others.values()),
            }
            texts = {name.capitalize(): _percent(value) for name, value in numbers_of.items()}
            texts["Largest"] = f"{_name(means, largest)}, {texts['Largest']}"
            x = rank + 0.8 * ((index + 0.5) / len(shown) - 0.5)
            rows.append({"series": name, "class": _name(means, place), "place": place, "x": x, **numbers_of, **texts})
    return rows


def _name(means: ClassMeans, place: int) -> str:
    return class_label(means.classes[place] if place < len(means.classes) else str(place))


def _percent(value: float) -> str:
    return f"{numbers.number(value, 'percent')} %" if value >= 1e-4 else numbers.small(value)


def _across(rows: list[dict[str, Any]], style: Style) -> dict[str, Any]:
    """Return the horizontal position of a class: by name with the series side by side, or by rank."""
    names = list(dict.fromkeys(row["class"] for row in rows))
    if len(names) > MOST_NAMED:
        scale = alt.Scale(domain=[-1, len(names)], nice=False)
        return {"x": alt.X("x:Q", title="Classes", scale=scale, axis=alt.Axis(grid=False, labels=False, ticks=False))}
    angle = 0 if max(map(len, names)) <= _SHORT else -40
    axis = alt.Axis(grid=False, labelAngle=angle, labelLimit=110, title=None, labelOverlap=False)
    places = [entry.label for entry in style.series]
    return {
        "x": alt.X("class:N", sort=names, axis=axis, scale=alt.Scale(paddingInner=0.25, paddingOuter=0.1)),
        "xOffset": alt.XOffset("series:N", sort=places, scale=alt.Scale(domain=places, paddingInner=0.1)),
    }


def _tooltip() -> list[alt.Tooltip]:
    names = {"series": "Method", "class": "Class", "Own": "True class", "Others": "All other classes"}
    names |= {name: f"{name} of the other classes" for name in ("Largest", "Median", "Smallest")}
    return [alt.Tooltip(f"{name}:N", title=title) for name, title in names.items()]


def _own(rows: list[dict[str, Any]]) -> Build:
    many = len({row["class"] for row in rows}) > MOST_NAMED

    def build(style: Style) -> alt.LayerChart:
        axis = alt.Axis(format=".0%", tickCount=5)
        y = alt.Y("own:Q", title=None, scale=alt.Scale(domain=[0, 1], nice=False), axis=axis)
        base = style.base(rows)
        drawn = base.mark_point(shape="square", filled=True, size=20) if many else base.mark_bar()
        look = {"color": style.colour(), "opacity": style.emphasis(), "tooltip": _tooltip()}
        return alt.LayerChart(layer=[drawn.encode(**_across(rows, style), y=y, **look)])

    return build


def _others(rows: list[dict[str, Any]]) -> Build:
    parts = ("smallest", "median", "largest")
    drawn = [{**row, **{part: max(row[part], FLOOR) for part in parts}} for row in rows]
    low = 10.0 ** math.floor(math.log10(min(row["smallest"] for row in drawn)))
    high = min(1.0, 1.5 * max(row["largest"] for row in drawn))
    many = len({row["class"] for row in rows}) > MOST_NAMED
    steps = (1, 2, 5) if high / low < _FEW_DECADES else (1,)
    ticks = [step * 10.0**power for power in range(round(math.log10(low)), 1) for step in steps]

    def build(style: Style) -> alt.LayerChart:
        scale = alt.Scale(type="log", domain=[low, high], nice=False)
        axis = alt.Axis(values=ticks, labelExpr="format(100 * datum.value, '~r') + '%'")
        look = {"color": style.colour(), "opacity": style.emphasis(0.9), "tooltip": _tooltip()}
        base = style.base(drawn).encode(**_across(rows, style), **look)
        y = {part: alt.Y(f"{part}:Q", title=None, scale=scale, axis=axis) for part in parts}
        width, size = (1.2, 3) if many else (2.5, 9)
        rule = base.mark_rule(strokeWidth=width, clip=True, strokeOpacity=0.25 if many else 1.0)
        dash = base.mark_tick(thickness=width, size=size, orient="horizontal").encode(y=y["median"])
        dot = base.mark_point(shape="circle", filled=True, size=10 if many else 44).encode(y=y["largest"])
        return alt.LayerChart(layer=[rule.encode(y=y["smallest"], y2="largest:Q"), dash, dot])

    return build
