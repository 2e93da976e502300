"""Means with whiskers: the ends of the whiskers, the ticks of single seeds, and what may be asked for."""

import pytest
from studies.shown import drawn, layers, showing

from softtargets.studies.outputs.whiskers import WhiskersOutput
from softtargets.studies.page import files
from softtargets.studies.records import CellKey

ASKED = {"arms": ("base", "ls"), "levels": (0.2,), "noise": (0.2,), "metrics": ("test.accuracy",)}


def _rows(results, mark: str) -> list[dict]:
    (spec,) = drawn(results).page_specs("Figure 6.")
    return [row for layer, rows in layers(spec) if layer["mark"]["type"] == mark for row in rows]


@pytest.mark.parametrize("spread", ["sd", "range", None])
def test_whiskers_end_where_the_output_says(results, spread) -> None:
    shown = showing(results, WhiskersOutput(), **ASKED, spread=spread)
    summary = shown.summary(CellKey("ls", 0.2, 0.2), "test.accuracy")
    assert summary is not None
    (row,) = [row for row in _rows(shown, "rule") if row["series"] == "Label smoothing"]
    ends = (summary.mean - summary.sd, summary.mean + summary.sd)
    values = [record.metrics["test.accuracy"] for record in shown.records(CellKey("ls", 0.2, 0.2))]
    ends = (min(values), max(values)) if spread == "range" else ends
    assert (row["mean"], row["low"], row["high"]) == pytest.approx([100 * v for v in (summary.mean, *ends)])
    words = "minimum to maximum" if spread == "range" else "± 1 sd"
    assert f"whiskers: {words} over seeds" in drawn(shown).note


def test_every_seed_has_a_tick(results) -> None:
    ticks = _rows(showing(results, WhiskersOutput(), **ASKED), "tick")
    for name, key in (("Baseline", CellKey("base", 0.0, 0.2)), ("Label smoothing", CellKey("ls", 0.2, 0.2))):
        expected = [100 * record.metrics["test.accuracy"] for record in results.records(key)]
        assert [row["value"] for row in ticks if row["series"] == name] == pytest.approx(expected)


def test_an_arm_without_runs_is_left_out(results) -> None:
    shown = showing(results, WhiskersOutput(), **{**ASKED, "levels": (0.8,), "noise": (0.6,)})
    assert [row["series"] for row in _rows(shown, "rule")] == ["Baseline"]


def test_the_page_draws_without_a_warning(results, check_page, tmp_path) -> None:
    files.write(showing(results, WhiskersOutput(), **ASKED, spread="range"), tmp_path)
    check_page(tmp_path / "index.html")
