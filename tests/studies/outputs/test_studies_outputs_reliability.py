"""Reliability diagrams of a study: which points, how large, which are hollow, and what the note owns up to."""

from dataclasses import replace

import pytest
from studies.shown import drawn, showing, with_data

from softtargets.studies.outputs.reliability import Diagram, ReliabilityOutput
from softtargets.studies.page import files
from softtargets.studies.records import CellKey

BASE, SMOOTHED = CellKey("base", 0.0, 0.2), CellKey("ls", 0.2, 0.2)
EDGES = (0.0, 0.25, 0.5, 0.75, 1.0)
# three bins with predictions: 10 (few), 30 and 160
DIAGRAM = Diagram(BASE, "test.ece15", EDGES, (0, 10, 30, 160), (0.0, 4.0, 20.0, 152.0), (0, 2, 15, 144), runs=5)


@pytest.fixture
def with_diagram(results):
    """Return results whose figure 2 is a reliability diagram of two cells, before and after scaling."""
    metrics = ("test.ece15", "test.ece15.scaled")
    diagrams = tuple(
        replace(DIAGRAM, key=key, metric=metric, runs=4 if (key, metric) == (SMOOTHED, "test.ece15.scaled") else 5)
        for metric in metrics
        for key in (BASE, SMOOTHED)
    )
    return showing(results, ReliabilityOutput(diagrams), arms=("ls",), levels=(0.0, 0.2), metrics=metrics)


def layers_of(results) -> list[tuple[dict, list[dict]]]:
    """Return each layer's mark and the rows it draws."""
    (spec,) = drawn(results).page_specs("Figure 2.")
    return [(layer["mark"], spec["datasets"][layer["data"]["name"]]) for layer in spec["layer"]]


def test_each_cell_has_a_line_before_and_after_scaling(with_diagram):
    drawing = drawn(with_diagram)
    assert {entry.label: (entry.colour, entry.dash) for entry in drawing.series} == {
        "Baseline": ("baseline", (1, 0)),
        "Baseline, temperature-scaled": ("baseline", (7, 3)),
        "Label smoothing": ("series-0", (1, 0)),
        "Label smoothing, temperature-scaled": ("series-0", (7, 3)),
    }
    assert len(drawing.panels) == 1


def test_a_point_lies_at_mean_confidence_and_accuracy_and_its_area_is_its_share(with_diagram):
    layers = layers_of(with_data(with_diagram, ReliabilityOutput((DIAGRAM,))))
    points = {row["x"]: row for _, rows in layers for row in rows if "Bin" in row}
    assert [(x, row["y"], row["few"]) for x, row in sorted(points.items())] == [
        (4 / 10, 2 / 10, True),
        (20 / 30, 15 / 30, False),
        (152 / 160, 144 / 160, False),
    ]
    areas = [row["size"] for _, row in sorted(points.items())]
    assert areas[2] - areas[0] == pytest.approx((areas[1] - areas[0]) * (160 - 10) / (30 - 10))
    assert points[152 / 160]["Predictions"] == "160 (80 %)"
    assert points[152 / 160]["Bin"] == "75 % to 100 %"


def test_no_line_leads_to_a_bin_with_few_predictions_and_its_point_is_hollow(with_diagram):
    diagonal, line, settled, few = layers_of(with_data(with_diagram, ReliabilityOutput((DIAGRAM,))))
    assert [(row["x"], row["y"]) for row in diagonal[1]] == [(0, 0), (1, 1)]
    assert diagonal[0]["strokeDash"]
    assert sorted(row["x"] for row in line[1]) == sorted(row["x"] for row in settled[1]) == [20 / 30, 152 / 160]
    assert [row["x"] for row in few[1]] == [4 / 10]
    assert (settled[0]["filled"], few[0]["filled"]) == (True, False)


def test_the_note_says_which_runs_have_no_temperature(with_diagram):
    drawing = drawn(with_diagram)
    assert "Label smoothing, temperature-scaled: 4 of 5 runs." in drawing.note
    assert "Baseline" not in drawing.note
    assert "Hollow points: fewer than 20" in drawing.note


def test_without_a_run_there_is_no_diagram_and_the_page_says_so(with_diagram):
    none = replace(with_data(with_diagram, ReliabilityOutput()), cells=())
    assert files.draw(none, "figure2") is None
    html = files.build(with_diagram)["index.html"].decode()
    assert "Label smoothing, temperature-scaled: 4 of 5 runs." in html
    assert 'class="chart-spec"' in html
