"""Separators of two Gaussians: where lines and circles lie, and every level as a table."""

from dataclasses import replace

import pytest
from studies.shown import drawn, layers, showing

from softtargets._errors import InputError
from softtargets.studies.catalog import find, read_study
from softtargets.studies.lukasik2020.gaussians import separators
from softtargets.studies.lukasik2020.separators import SeparatorsOutput
from softtargets.studies.page import files
from softtargets.studies.schema import Output

SMOOTHINGS = tuple(i / 10 for i in range(8))


@pytest.fixture
def separated(results):
    """Return results with eight smoothings and two penalties, with and without intercept."""
    data = SeparatorsOutput(separators(SMOOTHINGS, (0.0, 0.1)))
    return replace(showing(results, data, arms=(), levels=(), noise=(), metrics=()), cells=(), data=())


def test_each_panel_has_as_many_lines_as_there_are_colours_and_the_optimum(separated):
    drawing = drawn(separated)
    assert [panel.title for panel in drawing.panels] == [
        "Label smoothing",
        "L2 on the weights",
        "L2 on weights and intercept",
    ]
    labels = [entry.label for entry in drawing.series]
    assert labels[0] == "no smoothing, no penalty"
    assert labels[-1] == "Bayes-optimal"
    assert [label for label in labels if "smoothing 0" in label] == [f"smoothing {s}" for s in (0.2, 0.4, 0.5, 0.7)]
    assert labels.count("penalty 0.1") == 1


def test_every_point_of_a_line_lies_on_its_separator(separated):
    by_label = {f"smoothing {s.level:g}": s for s in separated.shown["figure2"].separators if s.arm == "LS" and s.level}
    (line,) = [rows for _, rows in layers(drawn(separated).page_specs("Figure 5.")[0]) if "Distance" in rows[0]]
    ends = [row for row in line if row["series"] in by_label]
    assert len(ends) == 8
    for row in ends:
        found = by_label[row["series"]]
        assert found.w1 * row["x"] + found.w2 * row["y"] + found.bias == pytest.approx(0.0, abs=1e-12)
    assert {row["x"] + row["y"] for row in line if row["series"] == "Bayes-optimal"} == {0.0}


def test_circles_are_one_two_and_three_deviations_wide(separated):
    (rings,) = [rows for _, rows in layers(drawn(separated).page_specs("Figure 5.")[0]) if "ring" in rows[0]]
    radii = {}
    for row in rings:
        centre = float(row["ring"].split(",")[0])
        radius = ((row["x"] - centre) ** 2 + (row["y"] - centre) ** 2) ** 0.5
        radii.setdefault(row["ring"], set()).add(round(radius, 9))
    assert radii == {f"{c}, {s}": {round(s / 10, 9)} for c in (1, -1) for s in (1, 2, 3)}


def test_the_table_has_every_level_and_the_page_says_that_nothing_is_trained(separated):
    output = separated.study.outputs["figure2"]
    shown = separated.shown["figure2"].table(separated, output)
    assert shown is not None
    assert [(title, len(rows)) for title, rows in shown.groups] == [
        ("Label smoothing", 8),
        ("L2 on the weights", 2),
        ("L2 on weights and intercept", 2),
    ]
    first = shown.groups[0][1][0]
    assert first.cells == tuple(
        (f"{value:.3f}".replace("-", "−"), value)
        for value in (separated.shown["figure2"].separators[0].distance, separated.shown["figure2"].separators[0].slope)
    )
    html = files.build(separated)["index.html"].decode()
    assert "none (nothing is trained)" in html
    assert f'<data value="{separated.shown["figure2"].separators[3].distance}">' in html
    assert SeparatorsOutput().table(separated, output) is None


@pytest.mark.parametrize("some", [{"levels": (0.1,)}, {"noise": (0.2,)}, {"arms": ("LS",)}, {"metrics": ("test.nll",)}])
def test_separators_are_of_nothing_that_is_run(some):
    asked, study = Output(title="t", caption="c", kind="separators", **some), read_study(find("lukasik2020"))
    with pytest.raises(InputError, match=r"outputs.f: no arms, levels, noise or metrics with 'separators'"):
        SeparatorsOutput.check("outputs.f", asked, study)
