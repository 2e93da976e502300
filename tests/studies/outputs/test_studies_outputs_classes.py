"""Class means: a class's own apart from the others', with few classes and with many."""

import math
from dataclasses import replace

import pytest
from studies.shown import drawn, layers, showing, with_data

from softtargets.studies.outputs.classes import FLOOR, MOST_NAMED, ClassesOutput, ClassMeans
from softtargets.studies.page import files
from softtargets.studies.records import CellKey

BASE, SMOOTHED = CellKey("base", 0.0, 0.2), CellKey("ls", 0.2, 0.2)
NAMES = ("cat", "dog", "8")
HARD = ClassMeans(BASE, "test", NAMES, ((0.9, 0.1, 0.0), (0.25, 0.7, 0.05), (0.0, 0.02, 0.98)), runs=5)
SOFT = ClassMeans(SMOOTHED, "test", NAMES, ((0.8, 0.12, 0.08), (0.2, 0.7, 0.1), (0.05, 0.05, 0.9)), runs=5)


@pytest.fixture
def few(results):
    """Return results with three classes of two cells."""
    return showing(results, ClassesOutput((HARD, SOFT)), arms=("ls",), levels=(0.0, 0.2), metrics=())


def many(results, size: int = MOST_NAMED + 10):
    """Return results with many classes, of which the i-th has own probability 0.5 + i / 100."""
    names = tuple(f"number {i}" for i in range(size))
    own = [0.5 + i / 100 for i in range(size)]
    rows = tuple(tuple(p if j == i else (1 - p) / (size - 1) for j in range(size)) for i, p in enumerate(own))
    return with_data(results, ClassesOutput(tuple(ClassMeans(key, "test", names, rows, 5) for key in (BASE, SMOOTHED))))


def test_a_bar_for_each_class_and_cell(few):
    drawing = drawn(few)
    assert [panel.y_title for panel in drawing.panels] == [
        "Mean probability of the true class",
        "Mean probabilities of the other classes",
    ]
    assert drawing.in_row == 1
    ((layer, rows),) = layers(drawing.page_specs("Figure 4.")[0])
    assert layer["mark"]["type"] == "bar"
    assert [(row["series"], row["class"], row["own"]) for row in rows] == [
        ("Baseline", "cat", 0.9),
        ("Baseline", "dog", 0.7),
        ("Baseline", "class 8", 0.98),
        ("Label smoothing", "cat", 0.8),
        ("Label smoothing", "dog", 0.7),
        ("Label smoothing", "class 8", 0.9),
    ]


def test_the_others_reach_from_the_smallest_to_the_largest_and_nothing_is_drawn_at_the_floor(few):
    drawing = drawn(few)
    rule, _, dot = layers(drawing.page_specs("Figure 4.")[1])
    by_name = {(row["series"], row["class"]): row for row in rule[1]}
    assert (by_name["Baseline", "dog"]["smallest"], by_name["Baseline", "dog"]["largest"]) == (0.05, 0.25)
    assert by_name["Baseline", "dog"]["median"] == pytest.approx(0.15)
    assert by_name["Baseline", "cat"]["smallest"] == FLOOR
    assert by_name["Baseline", "cat"]["Smallest"] == "0 %"
    assert by_name["Baseline", "cat"]["Largest"] == "dog, 10.00 %"
    assert dot[0]["encoding"]["y"]["scale"]["type"] == "log"
    assert "below 1e−4 %" in drawing.note
    assert "below" not in drawn(with_data(few, ClassesOutput((SOFT,)))).note


def test_many_classes_stand_in_the_order_of_the_first_series_without_names(few):
    results = many(few)
    drawing = drawn(results)
    ((layer, rows),) = layers(drawing.page_specs("Figure 4.")[0])
    assert layer["mark"]["type"] == "point"
    assert layer["encoding"]["x"]["axis"]["labels"] is False
    owns = [row["own"] for row in rows if row["series"] == "Baseline"]
    assert owns == sorted(owns, reverse=True)
    first = {row["class"]: row["x"] for row in rows if row["series"] == "Baseline"}
    second = {row["class"]: row["x"] for row in rows if row["series"] == "Label smoothing"}
    assert all(0 < second[name] - first[name] < 1 for name in first)
    assert "Classes sorted by Baseline." in drawing.note


def test_the_table_keeps_the_order_of_the_data(few):
    shown = few.shown["figure2"].table(few, few.study.outputs["figure2"])
    assert shown is not None
    (hard, rows), (soft, _) = shown.groups
    assert (hard, soft) == ("Baseline · test examples", "Label smoothing · test examples")
    assert [row.label for row in rows] == ["cat", "dog", "class 8"]
    assert rows[1].cells[:2] == (("70.00 %", 0.7), ("cat, 25.00 %", 0.25))
    assert rows[1].cells[2] == ("30.00 %", pytest.approx(0.3))
    html = files.build(few)["index.html"].decode()
    assert '<data value="0.25">cat, 25.00 %</data>' in html


def test_a_class_without_a_mean_is_left_out(few):
    gap = replace(HARD, means=(HARD.means[0], (math.nan,) * 3, HARD.means[2]))
    ((_, rows),) = layers(drawn(with_data(few, ClassesOutput((gap,)))).page_specs("Figure 4.")[0])
    assert [row["class"] for row in rows] == ["cat", "class 8"]
