"""Lines over kinds of noise: positions, paired differences of arms, and what is refused."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from scipy import stats
from studies.shown import drawn, layers, showing, with_data

from softtargets._errors import InputError
from softtargets.runs.store import RunStore
from softtargets.studies.outputs.conditions import ConditionsOutput
from softtargets.studies.outputs.evidence import Evidence
from softtargets.studies.page import files
from softtargets.studies.records import CellKey
from softtargets.studies.schema import NamedNoise

ASKED = {"arms": ("base", "ls"), "levels": (0.4,), "noise": (0.2, 0.4, 0.6), "metrics": ("test.accuracy",)}


@pytest.fixture
def shown(results):
    asked = showing(results, ConditionsOutput(), **ASKED, minus={"ls": "base"})
    evidence = Evidence(asked.study, asked.scale, asked.cells, RunStore(Path("nowhere")), [])
    return with_data(asked, ConditionsOutput.gather(asked.study.outputs["figure2"], evidence))


def _lines(results) -> list[list[dict]]:
    specs = drawn(results).page_specs("Figure 9.")
    return [rows for spec in specs for layer, rows in layers(spec) if layer["mark"]["type"] == "line"]


def test_one_panel_shows_the_measure_and_one_the_paired_differences(shown) -> None:
    measured, gains = _lines(shown)
    assert {(row["series"], row["x"]) for row in measured} == {
        (name, x) for name in ("Baseline", "Label smoothing") for x in (0.2, 0.4, 0.6)
    }
    assert [(row["series"], row["x"]) for row in gains] == [("Label smoothing", x) for x in (0.2, 0.4, 0.6)]
    own, other = shown.records(CellKey("ls", 0.4, 0.4)), shown.records(CellKey("base", 0.0, 0.4))
    values = [a.metrics["test.accuracy"] - b.metrics["test.accuracy"] for a, b in zip(own, other, strict=True)]
    mean = sum(values) / 5
    sd = math.sqrt(sum((value - mean) ** 2 for value in values) / 4)
    low, high = stats.t.interval(0.95, 4, loc=mean, scale=sd / math.sqrt(5))
    row = gains[1]
    assert (row["y"], row["low"], row["high"]) == pytest.approx((100 * mean, 100 * low, 100 * high))
    drawing = drawn(shown)
    assert [panel.y_title for panel in drawing.panels] == ["Test accuracy (%)", "Difference in test accuracy (points)"]
    assert "Differences: Label smoothing minus Baseline." in drawing.note


def test_named_kinds_lie_at_their_positions(results) -> None:
    noises = {f"k{n}": NamedNoise(label=f"{n} classes", position=n) for n in (10, 150)}
    asked = showing(results, ConditionsOutput(), **{**ASKED, "noise": (0.2, 0.4)})
    names = dict(zip((0.2, 0.4), noises, strict=True))
    study = asked.study.changed(noises=noises, noise_name="Classes")
    outputs = {**study.outputs, "figure2": study.outputs["figure2"].changed(noise=tuple(noises))}
    cells = tuple(
        replace(cell, key=cell.key._replace(noise=names[float(cell.key.noise)]))
        for cell in asked.cells
        if cell.key.noise in names
    )
    renamed = replace(asked, study=study.changed(outputs=outputs), cells=cells)
    (measured,) = _lines(renamed)
    assert {(row["x"], row["Condition"]) for row in measured} == {(10.0, "10 classes"), (150.0, "150 classes")}
    (spec,) = drawn(renamed).page_specs("Figure 9.")
    assert spec["layer"][0]["encoding"]["x"]["scale"]["type"] == "log"
    assert spec["layer"][0]["encoding"]["x"]["title"] == "Classes"


def test_what_cannot_be_placed_is_refused(results) -> None:
    asked = showing(results, ConditionsOutput(), **ASKED).study
    output = asked.outputs["figure2"]
    with pytest.raises(InputError, match=r"outputs\.o\.noise: at least two kinds; got \[0\.2\]; add one"):
        ConditionsOutput.check("outputs.o", output.changed(noise=(0.2,)), asked)
    study = asked.changed(noises={"human": {"label": "human"}})
    with pytest.raises(InputError, match=r"outputs\.o\.noise: kinds that have a position on the axis; got human"):
        ConditionsOutput.check("outputs.o", output.changed(noise=(0.2, "human")), study)


def test_a_panel_of_differences_has_no_layer_for_an_arm_that_is_only_subtracted(shown) -> None:
    _, spec = drawn(shown).page_specs("Figure 9.")
    points = [rows for layer, rows in layers(spec) if layer["mark"]["type"] == "point"]
    assert [{row["series"] for row in rows} for rows in points] == [{"Label smoothing"}]


def test_the_page_draws_without_a_warning(shown, check_page, tmp_path) -> None:
    files.write(shown, tmp_path)
    check_page(tmp_path / "index.html")
