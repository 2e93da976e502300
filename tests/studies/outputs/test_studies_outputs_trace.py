"""Traces: a line and a band for each cell, a panel for each metric, and the last epoch as a table."""

from dataclasses import replace

import pytest
from studies.shown import drawn, layers, showing, with_data

from softtargets.studies.outputs.trace import Trace, TraceOutput
from softtargets.studies.page import files, tables
from softtargets.studies.records import CellKey

BASE, SMOOTHED = CellKey("base", 0.0, 0.2), CellKey("ls", 0.2, 0.2)
LOSS = Trace(BASE, "objective", (1, 2), (1.5, 0.5), (1.25, 0.25), (2.0, 1.0), runs=5)
ACCURACY = Trace(BASE, "validation_accuracy", (1, 2), (0.5, 0.75), (0.25, 0.5), (0.75, 1.0), runs=4)


@pytest.fixture
def traced(results):
    """Return results with two traces of the baseline and one of smoothing."""
    metrics = ("objective", "validation_accuracy")
    data = TraceOutput((LOSS, ACCURACY, replace(LOSS, key=SMOOTHED)))
    return showing(results, data, arms=("base", "ls"), levels=(0.2,), metrics=metrics)


def test_a_panel_for_each_metric_in_its_unit(traced):
    drawing = drawn(traced)
    assert [panel.y_title for panel in drawing.panels] == ["Training loss (nats)", "Validation accuracy (%)"]
    assert [entry.label for entry in drawing.series] == ["Baseline", "Label smoothing"]
    band, line, dots = layers(drawing.page_specs("Figure 6.")[1])
    assert [(row["x"], row["y"], row["low"], row["high"]) for row in line[1]] == [
        (1, 50.0, 25.0, 75.0),
        (2, 75.0, 50.0, 100.0),
    ]
    assert band[0]["encoding"]["y"]["field"] == "low"
    assert band[0]["encoding"]["y2"]["field"] == "high"
    assert dots[1][0]["Value"] == "50.00 (25.00 to 75.00)"


def test_levels_of_one_arm_differ_by_dash(traced):
    output = {"arms": ("ls",), "levels": (0.2, 0.4), "metrics": ("objective",)}
    both = TraceOutput((replace(LOSS, key=SMOOTHED), replace(LOSS, key=CellKey("ls", 0.4, 0.2))))
    series = drawn(showing(traced, both, **output)).series
    assert [entry.label for entry in series] == ["Label smoothing, level = 0.2", "Label smoothing, level = 0.4"]
    assert series[0].colour == series[1].colour
    assert series[0].dash != series[1].dash


def test_the_note_owns_up_to_runs_without_the_number(traced):
    note = drawn(traced).note
    assert "Baseline: 4 of 5 runs." in note
    assert "Label smoothing" not in note


def test_the_table_has_the_last_epoch_and_says_what_is_not_there(traced):
    output = traced.study.outputs["figure2"]
    shown = traced.shown["figure2"].table(traced, output)
    assert shown is not None
    assert shown.columns == ("Method", "Training loss (nats)", "Validation accuracy (%)")
    ((title, rows),) = shown.groups
    assert title == ""
    assert [(row.label, row.cells) for row in rows] == [
        ("Baseline", (("0.500 (0.250 to 1.000)", 0.5), ("75.00 (50.00 to 100.00)", 0.75))),
        ("Label smoothing", (("0.500 (0.250 to 1.000)", 0.5), ("—", None))),
    ]
    assert tables.lay_out(traced, "figure2") is None
    html = files.build(traced)["index.html"].decode()
    assert '<data value="0.75">75.00 (50.00 to 100.00)</data>' in html
    assert "Last epoch: mean over seeds" in html


def test_without_traces_there_is_neither_figure_nor_table(traced):
    html = files.build(with_data(traced, TraceOutput()))["index.html"].decode()
    assert "No data yet" in html
    assert "Last epoch: mean over seeds" not in html
