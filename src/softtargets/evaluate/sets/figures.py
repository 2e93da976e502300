"""The figure of the sizes of prediction sets."""

import altair as alt

from softtargets.evaluate.results import EvaluationResults
from softtargets.evaluate.sets.results import SetEvaluation
from softtargets.report import numbers, palette
from softtargets.report.drawing import Drawing, Panel, Series, Style

# Sets of more classes are drawn together.
MOST_CLASSES = 20


def draw_sizes(results: EvaluationResults) -> Drawing:
    """Draw how many classes the sets of each method have, one panel for each model."""
    models = [(model.name, model.sets) for model in results.models if model.sets is not None]
    names = [one.method for one in models[0][1].methods]
    series = tuple(
        Series(name, palette.SERIES[place], palette.SHAPES[place], palette.DASHES[place])
        for place, name in enumerate(names)
    )
    several = len(models) > 1
    panels = tuple(Panel(name if several else "", _chart(sets), "Share of the sets") for name, sets in models)
    note = f"Sets of more than {MOST_CLASSES} classes are drawn at {MOST_CLASSES}." if _most(models[0][1]) else ""
    return Drawing(series, panels, note, 240)


def _most(sets: SetEvaluation) -> bool:
    return any(sum(one.sizes[MOST_CLASSES + 1 :]) for one in sets.methods)


def _chart(sets: SetEvaluation):
    rows = []
    for one in sets.methods:
        counts = [*one.sizes[:MOST_CLASSES], sum(one.sizes[MOST_CLASSES:])]
        last = max(size for method in sets.methods for size, count in enumerate(method.sizes) if count)
        rows += [
            {
                "series": one.method,
                "x": size,
                "y": count / sets.rows,
                "Classes": f"{size}",
                "Sets": f"{count:,}",
                "Share": f"{numbers.number(count / sets.rows, 'percent')} %",
            }
            for size, count in enumerate(counts[: min(last, MOST_CLASSES) + 1])
        ]

    def build(style: Style) -> alt.LayerChart:
        x = alt.X("x:Q", title="Classes in the set", axis=alt.Axis(tickMinStep=1, format="d", grid=False))
        y = alt.Y("y:Q", title=None, scale=alt.Scale(zero=True), axis=alt.Axis(format="%", tickCount=4))
        tooltip = [alt.Tooltip("series:N", title="Method")]
        tooltip += [alt.Tooltip(f"{name}:N") for name in ("Classes", "Sets", "Share")]
        base = style.base(rows).encode(x=x, y=y, color=style.colour())
        return alt.LayerChart(
            layer=[
                base.mark_line(strokeWidth=1.8).encode(strokeDash=style.dash(), opacity=style.emphasis()),
                base.mark_point(filled=True, size=36).encode(opacity=style.emphasis(), tooltip=tooltip),
            ]
        )

    return build
