"""Numbers of the test split against the temperature that logits are divided by: one line for each cell."""

import math
from dataclasses import dataclass
from typing import Any

import altair as alt

from softtargets._errors import fail
from softtargets.measures import MEASURES
from softtargets.measures.translation import AT_TEMPERATURES
from softtargets.report import numbers
from softtargets.report.drawing import Build, Drawing, Panel, Style, extents
from softtargets.studies import labels
from softtargets.studies.outputs.kind import OutputKind, output_kind
from softtargets.studies.outputs.marks import SPREADS, band_and_line, markers, spread_row
from softtargets.studies.outputs.series import FigureCells
from softtargets.studies.results import StudyResults
from softtargets.studies.schema import Output, Study


@output_kind("temperatures")
@dataclass(frozen=True)
class TemperaturesOutput(OutputKind):
    """Measures at several temperatures as lines over the temperature, one panel for each quantity."""

    metrics = tuple(AT_TEMPERATURES)
    takes_spread = True

    @classmethod
    def check(cls, place: str, output: Output, study: Study) -> None:
        """Require at least two temperatures of every quantity."""
        for quantity in _quantities(output):
            if sum(AT_TEMPERATURES[metric][0] == quantity for metric in output.metrics) < 2:
                got = f"one of '{quantity}'"
                raise fail(f"{place}.metrics", "at least two temperatures", got, "name others")

    def draw(self, results: StudyResults, output: Output) -> Drawing:
        """Draw one panel for each kind of noise and quantity."""
        figure, series, panels = FigureCells(results, output), [], []
        for noise in figure.noises:
            for quantity in _quantities(output):
                rows: list[dict[str, Any]] = []
                for key in figure.keys:
                    own = list(_rows(results, figure, output, key, quantity)) if key.noise == noise else []
                    series += [figure.look(key)] if own else []
                    rows += own
                if rows:
                    metric = next(name for name in output.metrics if AT_TEMPERATURES[name][0] == quantity)
                    panels.append(Panel(figure.noise(noise), _chart(rows), _title(metric)))
        note = [*figure.levels, f"Bands: {SPREADS[output.spread]}. At T = 1 the probabilities are the network's own."]
        return Drawing(tuple(dict.fromkeys(series)), tuple(panels), " ".join(note))


def _quantities(output: Output) -> tuple[str, ...]:
    return tuple(dict.fromkeys(AT_TEMPERATURES[metric][0] for metric in output.metrics))


def _title(metric: str) -> str:
    """Return the title of a panel: the label of a measure without its temperature."""
    known = MEASURES[metric]
    label = known.label.split(" at T = ")[0]
    return label[:1].upper() + label[1:] + (" (nats)" if known.unit == "nats" else "")


def _rows(results: StudyResults, figure: FigureCells, output: Output, key: Any, quantity: str) -> Any:
    for metric in output.metrics:
        name, temperature = AT_TEMPERATURES[metric]
        summary = results.summary(key, metric)
        if name != quantity or summary is None or not math.isfinite(summary.mean):
            continue
        unit = labels.measure(metric).unit
        ends = spread_row(summary, unit, ("y", "low", "high"), output.spread)
        told = {"Temperature": numbers.level(temperature), "Value": labels.summary_text(summary, unit)}
        yield {"series": figure.name(key), "own": True, "x": temperature, **ends, **told}


def _chart(rows: list[dict[str, Any]]) -> Build:
    places = sorted({row["x"] for row in rows})

    def build(style: Style) -> alt.LayerChart:
        axis = alt.Axis(values=places, format="~g", grid=False)
        x = alt.X("x:Q", title="Temperature", scale=alt.Scale(nice=False, padding=10, zero=False), axis=axis)
        y = alt.Y("y:Q", title=None, scale=style.window(*extents(rows, "low", "high"), zero=False))
        tooltip = [alt.Tooltip("series:N", title="Method"), alt.Tooltip("Temperature:N")]
        tooltip += [alt.Tooltip("Value:N", title="Mean ± sd (n)")]
        base = style.base(rows).encode(x=x, color=style.colour())
        return alt.LayerChart(layer=[*band_and_line(base, style, y), *markers(rows, style, x, y, tooltip)])

    return build
