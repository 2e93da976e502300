"""The figures of an evaluation show the numbers of its results."""

from dataclasses import replace

import pytest
from evaluate.evaluation_examples import make

from softtargets.evaluate.figures import draw_confidences, draw_reliability, draw_risk
from softtargets.evaluate.results import EvaluationResults


@pytest.fixture(scope="module")
def results() -> EvaluationResults:
    return make(others=1, zeros=3)


def test_the_diagram_shows_each_bin_that_holds_rows(results):
    model = results.main
    (width, mass) = draw_reliability(results, model)
    for drawing, before, after in (
        (width, model.reliability.width, model.temperature.reliability.width),
        (mass, model.reliability.mass, model.temperature.reliability.mass),
    ):
        for spec, bins in zip(drawing.page_specs(""), (before, after), strict=True):
            rows = [row for data in spec["datasets"].values() for row in data]
            points = {(row["x"], row["low"], row["y"], row["high"]) for row in rows if "low" in row and "x2" not in row}
            assert points == {
                (bin.confidence, bin.interval.low, bin.accuracy, bin.interval.high) for bin in bins if bin.count
            }
            strip = {(row["x"], row["x2"]): row["y2"] - row["y"] for row in rows if "x2" in row}
            assert list(strip) == [(bin.low, bin.high) for bin in bins if bin.count]
            most = max(bin.count for bin in bins)
            for bin in bins:
                if bin.count:
                    assert strip[bin.low, bin.high] / max(strip.values()) == pytest.approx(bin.count / most)


def test_the_smooth_curve_is_left_out_where_there_are_no_rows_or_no_curve(results):
    curve = results.main.reliability.smooth
    (drawing, _) = draw_reliability(results, results.main)
    rows = [row for data in drawing.page_specs("")[0]["datasets"].values() for row in data if "density" in row]
    assert 0 < len(rows) < len(curve.confidence)
    assert max(row["density"] for row in rows) == 1
    filled = [bin for bin in results.main.reliability.width if bin.count]
    assert all(filled[0].low <= row["x"] <= filled[-1].high for row in rows)
    bare = replace(results.main, temperature=None, reliability=replace(results.main.reliability, smooth=None))
    (drawing,) = draw_reliability(results, bare)
    assert len(drawing.series) == 1
    assert [panel.title for panel in drawing.panels] == ["Bins of equal width", "Bins of equal mass"]


def test_confidences_are_shares_of_the_right_and_of_the_wrong(results):
    drawing = draw_confidences(results)
    assert [panel.title for panel in drawing.panels] == ["resnet-smoothed", "resnet-hard"]
    rows = [row for data in drawing.page_specs("")[0]["datasets"].values() for row in data]
    for name in ("right", "wrong"):
        # the last step is there twice, since it ends at the last edge
        mine = {row["x"]: row["y"] for row in rows if row["series"] == name and row["x"] < 1}
        assert sum(mine.values()) == pytest.approx(1)


def test_long_names_of_panels_are_cut(results):
    models = tuple(replace(model, name=f"{letter * 40}") for model, letter in zip(results.models, "ab", strict=True))
    titles = [panel.title for panel in draw_confidences(replace(results, models=models)).panels]
    assert titles == ["a" * 27 + "…", "b" * 27 + "…"]


def test_the_risk_of_every_model_is_drawn(results):
    drawing = draw_risk(results)
    assert [series.label for series in drawing.series] == ["resnet-smoothed", "resnet-hard"]
    rows = [row for data in drawing.page_specs("")[0]["datasets"].values() for row in data]
    for model in results.models:
        mine = [(row["x"], row["y"]) for row in rows if row["series"] == model.name]
        assert mine == list(zip(model.risk_coverage.coverage, model.risk_coverage.risk, strict=True))
