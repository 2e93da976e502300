"""A scatter of two measures: its points, and the correlation over cells and at each seed."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from studies.shown import drawn, layers, showing, with_data

from softtargets.report import frame, palette
from softtargets.runs.store import RunStore
from softtargets.studies.outputs.evidence import Evidence
from softtargets.studies.outputs.scatter import ScatterOutput, _look
from softtargets.studies.page import files, tables
from softtargets.studies.records import CellKey

ASKED = {"arms": ("ls", "bc"), "levels": (0.0, 0.2, 0.4), "noise": (0.2,)}
ASKED |= {"metrics": ("test.accuracy",), "x": "noisy.fit", "spread": "range"}
KEYS = [CellKey("base", 0.0, 0.2), *(CellKey(arm, level, 0.2) for arm in ("ls", "bc") for level in (0.2, 0.4))]


def _gathered(results):
    asked = showing(results, ScatterOutput(), **ASKED)
    evidence = Evidence(asked.study, asked.scale, asked.cells, RunStore(Path("nowhere")), [])
    return with_data(asked, ScatterOutput.gather(asked.study.outputs["figure2"], evidence))


@pytest.fixture
def scattered(results):
    """Return results with test accuracy against the fit to wrong labels, which varies from seed to seed here."""
    draw = np.random.default_rng(0)
    cells = [
        replace(cell, metrics={**cell.metrics, "noisy.fit": cell.metrics["noisy.fit"] + float(draw.normal(0, 0.01))})
        if cell.metrics
        else cell
        for cell in results.cells
    ]
    return _gathered(replace(results, cells=tuple(cells)))


def _values(results, metric: str) -> np.ndarray:
    return np.array([[record.metrics[metric] for record in results.records(key)] for key in KEYS])


def test_the_correlation_is_that_of_the_means_with_the_interval_over_cells(scattered) -> None:
    (found,) = scattered.shown["figure2"].correlations
    x, y = (_values(scattered, metric) for metric in ("noisy.fit", "test.accuracy"))
    interval = stats.pearsonr(x.mean(axis=1), y.mean(axis=1)).confidence_interval(0.95)
    r = np.corrcoef(x.mean(axis=1), y.mean(axis=1))[0, 1]
    assert (found.r, found.low, found.high) == pytest.approx((r, interval.low, interval.high))
    assert (found.cells, found.seeds) == (5, 5)
    each = [np.corrcoef(x[:, seed], y[:, seed])[0, 1] for seed in range(5)]
    low, high = stats.t.interval(0.95, 4, loc=np.mean(each), scale=np.std(each, ddof=1) / math.sqrt(5))
    assert (found.by_seed, found.seed_low, found.seed_high) == pytest.approx((np.mean(each), low, high))


def test_a_point_lies_at_the_means_and_its_lines_reach_the_extremes(scattered) -> None:
    (spec,) = drawn(scattered).page_specs("Figure 8.")
    rows = {row["series"]: row for layer, own in layers(spec) if layer["mark"]["type"] == "point" for row in own}
    assert set(rows) == {
        "Baseline",
        *(f"{n}, level = {level}" for n in ("Label smoothing", "Backward correction") for level in ("0.2", "0.4")),
    }
    values = 100 * _values(scattered, "noisy.fit")[1]
    row = rows["Label smoothing, level = 0.2"]
    assert (row["x"], row["x_low"], row["x_high"]) == pytest.approx((values.mean(), values.min(), values.max()))
    drawing = drawn(scattered)
    assert "minimum to maximum over seeds" in drawing.note
    assert drawing.panels[0].title.startswith("r = ")
    assert "5 points" in drawing.panels[0].title


def test_a_constant_measure_has_no_correlation_and_is_drawn_all_the_same(results) -> None:
    cells = tuple(replace(cell, metrics={**cell.metrics, "noisy.fit": 0.5}) for cell in results.cells if cell.metrics)
    shown = _gathered(replace(results, cells=cells))
    assert shown.shown["figure2"].correlations == ()
    assert drawn(shown).panels[0].title == ""


def test_seeds_without_all_cells_do_not_count_at_each_seed(scattered) -> None:
    cells = [
        replace(cell, status="failed", metrics={}) if (cell.key, cell.seed) == (KEYS[1], 2) else cell
        for cell in scattered.cells
    ]
    (found,) = _gathered(replace(scattered, cells=tuple(cells))).shown["figure2"].correlations
    assert (found.cells, found.seeds) == (5, 4)


def test_the_page_has_the_correlations_as_a_table(scattered) -> None:
    table = scattered.shown["figure2"].table(scattered, scattered.study.outputs["figure2"])
    (found,) = scattered.shown["figure2"].correlations
    assert table is not None
    ((_, (row,)),) = table.groups
    assert [value for _, value in row.cells if value is not None] == [found.r, 5.0, found.by_seed, 5.0]
    assert tables.lay_out(scattered, "figure2") is not None
    assert b"mean r by seed" in files.build(scattered)["index.html"]


def test_up_to_forty_points_have_styles_of_their_own_with_a_mark_in_the_legend_of_the_page(results) -> None:
    looks = [_look(str(place), place) for place in range(40)]
    assert len({(look.colour, look.shape) for look in looks}) == 40
    macros = (Path(frame.__file__).parent / "templates" / "macros.html").read_text()
    for shape in palette.SHAPES:
        assert f'"{shape}": "M' in macros


def test_the_page_draws_without_a_warning(scattered, check_page, tmp_path) -> None:
    files.write(scattered, tmp_path)
    check_page(tmp_path / "index.html")
