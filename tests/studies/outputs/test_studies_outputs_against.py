"""One measure against another: where points lie, what joins them, and the table of both."""

from dataclasses import replace

import pytest
from studies.shown import drawn, layers, showing

from softtargets.studies.outputs.against import AgainstOutput
from softtargets.studies.page import tables
from softtargets.studies.records import CellKey

BASE = CellKey("base", 0.0, 0.2)


@pytest.fixture
def crossed(results):
    """Return results with test accuracy against the fit to wrong labels."""
    return showing(
        results, AgainstOutput(), arms=("ls", "bc"), levels=(0.0, 0.2, 0.4), metrics=("test.accuracy",), x="noisy.fit"
    )


def points(results) -> dict[tuple[str, str], dict]:
    """Return the drawn points by series and level."""
    (spec,) = drawn(results).page_specs("Figure 5.")
    shown = [rows for layer, rows in layers(spec) if layer["mark"]["type"] == "point"]
    return {(row["series"], row["Level"]): row for rows in shown for row in rows}


def test_a_point_lies_at_the_means_of_both_measures(crossed):
    found = points(crossed)
    assert set(found) == {
        ("Baseline", "0"),
        *((name, level) for name in ("Label smoothing", "Backward correction") for level in ("0.2", "0.4")),
    }
    key = CellKey("ls", 0.2, 0.2)
    x, y = crossed.summary(key, "noisy.fit"), crossed.summary(key, "test.accuracy")
    row = found["Label smoothing", "0.2"]
    assert (row["x"], row["y"]) == (100 * x.mean, 100 * y.mean)
    assert (row["x_low"], row["x_high"]) == (100 * (x.mean - x.sd), 100 * (x.mean + x.sd))
    assert (row["y_low"], row["y_high"]) == (100 * (y.mean - y.sd), 100 * (y.mean + y.sd))
    assert row["x_text"].endswith("(5)")
    assert row["y_text"].endswith("(5)")


def test_a_line_runs_through_the_levels_in_their_order_from_the_shared_baseline(crossed):
    (spec,) = drawn(crossed).page_specs("Figure 5.")
    ((line, rows),) = [(layer, rows) for layer, rows in layers(spec) if layer["mark"]["type"] == "line"]
    assert line["encoding"]["order"]["field"] == "level"
    levels = {
        name: sorted(row["level"] for row in rows if row["series"] == name) for name in {r["series"] for r in rows}
    }
    assert levels == {
        "Baseline": [0.0],
        "Label smoothing": [0.0, 0.2, 0.4],
        "Backward correction": [0.0, 0.2, 0.4],
    }
    first = [row for row in rows if row["level"] == 0.0]
    assert {row["Point"] for row in first} == {"Baseline"}
    assert len({(row["x"], row["y"]) for row in first}) == 1


def test_a_cell_without_one_of_the_measures_has_no_point(crossed):
    cells = tuple(
        replace(cell, metrics={k: v for k, v in cell.metrics.items() if k != "noisy.fit"}) if cell.key == BASE else cell
        for cell in crossed.cells
    )
    assert not [name for name, level in points(replace(crossed, cells=cells)) if level == "0"]


def test_the_table_has_what_lies_across_too(crossed):
    shown = tables.lay_out(crossed, "figure2")
    assert shown is not None
    text = [*shown.columns, *(group.title for group in shown.groups), *(r.label for g in shown.groups for r in g.rows)]
    assert any("Noisy part, noisy labels (%)" in words for words in text)
    assert any("Test accuracy (%)" in words for words in text)
    values = {cell.value for group in shown.groups for row in group.rows for cell in row.cells}
    assert crossed.summary(CellKey("ls", 0.2, 0.2), "noisy.fit").mean in values


def test_lines_reach_the_extremes_where_the_output_says_so(crossed):
    shown = showing(
        crossed,
        AgainstOutput(),
        arms=("ls",),
        levels=(0.2,),
        metrics=("test.accuracy",),
        x="noisy.fit",
        spread="range",
    )
    row = points(shown)["Label smoothing", "0.2"]
    values = [100 * record.metrics["test.accuracy"] for record in shown.records(CellKey("ls", 0.2, 0.2))]
    assert (row["y_low"], row["y_high"]) == (min(values), max(values))
    assert "Thin lines: minimum to maximum over seeds." in drawn(shown).note
