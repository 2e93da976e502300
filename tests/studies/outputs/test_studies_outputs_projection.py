"""Projections: a panel for each cell and split, wrong labels apart, templates marked, one scale for both axes."""

from dataclasses import replace

import pytest
import vl_convert
from studies.shown import drawn, layers, showing, with_data

from softtargets.report import palette
from softtargets.report.drawing import Style
from softtargets.report.static import VEGA_LITE
from softtargets.studies.outputs.projection import Projected, ProjectionOutput
from softtargets.studies.page import files
from softtargets.studies.records import CellKey

BASE, SMOOTHED = CellKey("base", 0.0, 0.2), CellKey("ls", 0.2, 0.2)
PLANE = Projected(
    key=BASE,
    seed=0,
    split="train",
    classes=("beaver", "otter", "7"),
    labels=(0, 1, 2, 2),
    wrong=(False, False, True, False),
    x=(0.0, 4.0, 1.0, 2.0),
    y=(0.0, 0.0, 5.0, 6.0),
    templates=((0.0, 1.0), (4.0, 1.0), (2.0, 7.0)),
)


@pytest.fixture
def planes(results):
    """Return results with two cells, each with a training and a test plane."""
    found = [replace(PLANE, key=key, split=split) for split in ("train", "test") for key in (BASE, SMOOTHED)]
    output = {"arms": ("ls",), "levels": (0.0, 0.2), "metrics": (), "splits": ("train", "test")}
    return showing(results, ProjectionOutput(tuple(found)), **output)


def test_the_splits_of_a_cell_stand_side_by_side(planes):
    drawing = drawn(planes)
    assert [(panel.title, panel.y_title) for panel in drawing.panels] == [
        ("Baseline", "training examples"),
        ("Baseline", "test examples"),
        ("Label smoothing", "training examples"),
        ("Label smoothing", "test examples"),
    ]
    assert drawing.in_row == 2
    assert "seed 0" in drawing.note


def test_classes_differ_by_colour_and_shape_and_wrong_labels_are_black(planes):
    looks = {entry.label: (entry.colour, entry.shape) for entry in drawn(planes).series}
    assert list(looks) == ["beaver", "otter", "class 7", "wrong label"]
    assert looks["wrong label"][0] == "ink"
    assert len(set(looks.values())) == len({shape for _, shape in looks.values()}) == 4
    right = with_data(planes, ProjectionOutput((replace(PLANE, wrong=(False,) * 4),)))
    assert "wrong label" not in {entry.label for entry in drawn(right).series}


def test_every_example_and_template_lies_where_it_was_projected(planes):
    dots, marks = layers(drawn(planes).page_specs("Figure 4.")[0])
    assert {(row["series"], row["x"], row["y"]) for row in dots[1]} == {
        ("beaver", 0.0, 0.0),
        ("otter", 4.0, 0.0),
        ("wrong label", 1.0, 5.0),
        ("class 7", 2.0, 6.0),
    }
    assert dots[1][-1]["series"] == "wrong label"
    assert dots[1][-1]["True"] == "class 7"
    assert marks[0]["mark"]["shape"] == "cross"
    assert [(row["series"], row["x"], row["y"]) for row in marks[1]] == [
        ("beaver", 0.0, 1.0),
        ("otter", 4.0, 1.0),
        ("class 7", 2.0, 7.0),
    ]


def test_a_unit_is_as_long_across_as_up_in_a_file():
    x, y = Style((), palette.in_file, legend=True, size=(300, 150)).equal((-1.0, 1.0), (0.0, 4.0))
    (left, right), (bottom, top) = x.to_dict()["domain"], y.to_dict()["domain"]
    assert (right - left) / 300 == pytest.approx((top - bottom) / 150)
    assert (bottom, top) == (0.0, 4.0)
    assert (left + right) / 2 == 0.0


def test_a_unit_is_as_long_across_as_up_on_the_page_at_any_width(planes):
    spec = drawn(planes).page_specs("Figure 4.")[0]
    vega = vl_convert.vegalite_to_vega({**spec, "width": 200}, vl_version=VEGA_LITE)
    scales = {scale["name"]: scale for scale in vega["scales"]}
    for width, height in ((200, 300), (700, 300)):
        known = {"width": width, "height": height, "max": max}
        ends = {
            name: [eval(scales[name][end]["signal"], {}, known) for end in ("domainMin", "domainMax")]
            for name in ("x", "y")
        }
        assert (ends["x"][1] - ends["x"][0]) / width == pytest.approx((ends["y"][1] - ends["y"][0]) / height)
        assert ends["x"][0] <= 0.0
        assert ends["x"][1] >= 4.0
        assert ends["y"][0] <= 0.0
        assert ends["y"][1] >= 7.0


def test_class_names_of_the_user_are_text(planes):
    evil = replace(PLANE, classes=("<img src=x onerror=alert(1)>", "a", "b"))
    html = files.build(with_data(planes, ProjectionOutput((evil,))))["index.html"].decode()
    assert "<img src=x" not in html
    assert "\\u003cimg src=x" in html


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1280])
def test_a_unit_is_as_long_across_as_up_in_a_browser(planes, new_page, tmp_path, width):
    path = tmp_path / "index.html"
    first = ProjectionOutput(planes.shown["figure2"].projections[:1])
    path.write_bytes(files.build(with_data(planes, first))["index.html"])
    tab = new_page(width=width)
    problems = []
    tab.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    tab.goto(path.as_uri())
    tab.wait_for_function("document.documentElement.dataset.charts === 'drawn'")
    places = tab.eval_on_selector_all(
        ".chart svg .mark-symbol path",
        "all => all.map(p => p.getAttribute('transform').match(/-?[\\d.]+/g).map(Number))",
    )
    assert not problems
    # four examples, then the templates at (0, 1), (4, 1) and (2, 7)
    assert len(places) == 7
    first, second, third = places[4:]
    across, up = (second[0] - first[0]) / 4, (first[1] - third[1]) / 6
    assert across == pytest.approx(up, rel=1e-3)
    assert across > 10
