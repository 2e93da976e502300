"""Paired differences to the baseline: the numbers by hand, what is left out, the drawing and the table."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from scipy import stats
from studies.shown import drawn, layers, showing, with_data

from softtargets._errors import InputError
from softtargets.runs.store import RunStore
from softtargets.studies.outputs import KINDS
from softtargets.studies.outputs.difference import Difference, DifferenceOutput
from softtargets.studies.outputs.evidence import Evidence
from softtargets.studies.page import tables
from softtargets.studies.page.page import render
from softtargets.studies.records import CellKey

BASE, SMOOTHED = CellKey("base", 0.0, 0.2), CellKey("ls", 0.2, 0.2)
ASKED = {"arms": ("base", "ls"), "levels": (0.2,), "noise": (0.2,), "metrics": ("test.accuracy",)}


def gathered(results, records=None) -> DifferenceOutput:
    asked = showing(results, DifferenceOutput(), **ASKED)
    cells = asked.cells if records is None else records
    evidence = Evidence(asked.study, asked.scale, cells, RunStore(Path("nowhere")), [])
    return DifferenceOutput.gather(asked.study.outputs["figure2"], evidence)


def of(results, key: CellKey) -> dict[int, float]:
    records = [record for record in results.records(key) if record.status == "complete"]
    return {record.seed: record.metrics["test.accuracy"] for record in records}


def test_the_kind_is_known_by_its_name() -> None:
    assert KINDS["difference"] is DifferenceOutput


def test_an_output_names_the_baseline(results) -> None:
    asked = showing(results, DifferenceOutput(), **ASKED).study
    DifferenceOutput.check("outputs.gain", asked.outputs["figure2"], asked)
    with pytest.raises(InputError, match=r"outputs\.gain\.arms: 'base', the baseline, among them; got \['ls'\]"):
        DifferenceOutput.check("outputs.gain", asked.outputs["figure2"].changed(arms=("ls",)), asked)


def test_differences_are_paired_by_seed_and_have_the_t_interval(results) -> None:
    (found,) = gathered(results).differences
    own, base = of(results, SMOOTHED), of(results, BASE)
    values = [own[seed] - base[seed] for seed in own.keys() & base.keys()]
    mean = sum(values) / len(values)
    sd = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
    low, high = stats.t.interval(0.95, len(values) - 1, loc=mean, scale=sd / math.sqrt(len(values)))
    assert (found.key, found.metric, found.n) == (SMOOTHED, "test.accuracy", len(values))
    assert (found.mean, found.low, found.high) == pytest.approx((mean, low, high), abs=1e-12)


def test_seeds_that_one_of_both_lacks_are_left_out_and_one_pair_is_too_few(results) -> None:
    def without(key: CellKey, seeds: range):
        return [
            replace(record, status="failed") if record.key == key and record.seed in seeds else record
            for record in results.cells
        ]

    count = len(of(results, SMOOTHED))
    (found,) = gathered(results, without(BASE, range(1))).differences
    assert found.n == count - 1
    assert gathered(results, without(SMOOTHED, range(count - 1))).differences == ()
    assert gathered(results, without(BASE, range(count))).differences == ()


def test_intervals_are_drawn_in_points_beside_a_line_at_nothing(results) -> None:
    data = DifferenceOutput((Difference(SMOOTHED, "test.accuracy", 0.02, -0.01, 0.05, 5),))
    shown = with_data(showing(results, data, **ASKED), data)
    (spec,) = drawn(shown).page_specs("Figure 5.")
    rows = [row for _, found in layers({**spec, "layer": spec["layer"][1:]}) for row in found]
    assert {(row["mean"], row["low"], row["high"]) for row in rows} == {(2.0, -1.0, 5.0)}
    assert {row["text"] for row in rows} == {"+2.00 points (−1.00 to +5.00), 5 seeds"}
    low, high = spec["layer"][1]["encoding"]["x"]["scale"]["domain"]
    assert low < -1
    assert high > 5
    assert "baseline" in str(spec["layer"][0])


def test_the_table_has_every_difference(results) -> None:
    data = DifferenceOutput((Difference(SMOOTHED, "test.accuracy", 0.02, -0.01, 0.05, 5),))
    shown = with_data(showing(results, data, **ASKED), data)
    table = data.table(shown, shown.study.outputs["figure2"])
    assert table is not None
    ((title, (row,)),) = table.groups
    assert title == "Test accuracy"
    assert (row.label, row.cells) == (
        "Label smoothing",
        (("+2.00 points", 0.02), ("−1.00 to +5.00", None), ("5", 5.0)),
    )
    assert DifferenceOutput().table(shown, shown.study.outputs["figure2"]) is None


def test_the_page_shows_it(results) -> None:
    data = DifferenceOutput((Difference(SMOOTHED, "test.accuracy", 0.02, -0.01, 0.05, 5),))
    shown = with_data(showing(results, data, **ASKED), data)
    laid_out = {"figure2": tables.lay_out(shown, "figure2")}
    html = render(shown, laid_out, {"figure2": drawn(shown)}, {})
    assert "+2.00 points" in html


def test_an_interval_wider_than_what_is_possible_is_not_shown(results) -> None:
    data = DifferenceOutput((Difference(SMOOTHED, "test.accuracy", 0.02, -25.79, 25.83, 2),))
    shown = with_data(showing(results, data, **ASKED), data)
    table = data.table(shown, shown.study.outputs["figure2"])
    assert table is not None
    ((_, (row,)),) = table.groups
    assert row.cells[1] == ("not enough seeds", None)
    (spec,) = drawn(shown).page_specs("Figure 5.")
    rows = [row for _, found in layers({**spec, "layer": spec["layer"][1:]}) for row in found]
    assert {(row["low"], row["high"], row["text"]) for row in rows} == {
        (2.0, 2.0, "+2.00 points (not enough seeds), 2 seeds")
    }


def test_an_arm_is_compared_with_the_counterpart_that_the_output_names(results) -> None:
    asked = showing(results, DifferenceOutput(), **{**ASKED, "arms": ("ls", "fc"), "minus": {"ls": "fc"}})
    output = asked.study.outputs["figure2"]
    DifferenceOutput.check("outputs.gain", output, asked.study)
    evidence = Evidence(asked.study, asked.scale, asked.cells, RunStore(Path("nowhere")), [])
    (found,) = DifferenceOutput.gather(output, evidence).differences
    own, other = of(results, SMOOTHED), of(results, CellKey("fc", 0.2, 0.2))
    assert found.key == SMOOTHED
    assert found.mean == pytest.approx(sum(own[seed] - other[seed] for seed in own) / len(own))


def test_an_arm_has_one_entry_in_the_legend_for_all_panels(results) -> None:
    keys = [CellKey("ls", 0.2, noise) for noise in (0.0, 0.2)]
    data = DifferenceOutput(tuple(Difference(key, "test.accuracy", 0.02, -0.01, 0.05, 5) for key in keys))
    shown = with_data(showing(results, data, **{**ASKED, "noise": (0.0, 0.2)}), data)
    drawing = drawn(shown)
    assert len(drawing.panels) == 2
    assert [series.label for series in drawing.series] == ["Label smoothing"]
