"""A study of two data sets, of which one is a table: each is summarised, and both are found again."""

import json
from pathlib import Path

import pytest

from softtargets.runs.store import RunStore
from softtargets.studies.job import report, run
from softtargets.studies.plan import TABLE, make_plan
from softtargets.studies.request import StudyRequest

STUDY = """
schema_version = 1
name = "two"
title = "Two data sets"
question = "Are both there?"
baseline = "CE"
paper = {{ authors = "nobody", title = "none", year = 2026, venue = "none", url = "https://example.org" }}

[arms.CE]
label = "hard targets"
objective = {{ name = "cross_entropy" }}

[noises.pictures]
label = "digits"

[noises.table]
label = "a table"

[scales.smoke]
seeds = 2
levels = {{}}

[scales.smoke.run]
data = {{ name = "digits", limit = {{ train = 64, validation = 16, test = 32 }} }}
model = {{ name = "mlp", hidden = [4] }}
augmentation = {{ crop_padding = 1 }}
optimizer = {{ name = "sgd", learning_rate = 0.1 }}
training = {{ epochs = 1, batch_size = 32, precision = "float32", threads = 1 }}

[scales.smoke.noises.table]
data = {{ name = "{table}" }}

[outputs.both]
title = "Table 1: both"
caption = "Test accuracy."
kind = "table"
arms = ["CE"]
noise = ["pictures", "table"]
metrics = ["test.accuracy"]
"""


@pytest.fixture
def request_of_two(tmp_path) -> tuple[StudyRequest, Path]:
    """Return a request for a study of digits and of a table, and where the table lies."""
    table = tmp_path / "mine.csv"
    table.write_text("a,b,label\n" + "".join(f"{i % 7},{-i},{i % 2}\n" for i in range(80)))
    folder = tmp_path / "two"
    folder.mkdir()
    (folder / "study.toml").write_text(STUDY.format(table=table))
    places = {"runs": tmp_path / "runs", "reports": tmp_path / "reports"}
    return StudyRequest(str(folder), scale="smoke", **places), table


def test_each_data_set_is_summarised_once_and_a_table_is_not_augmented(request_of_two):
    request, _ = request_of_two
    made = make_plan(request, RunStore(request.runs))
    assert [(data.name, data.num_classes, data.input_shape) for data in made.data] == [
        ("digits", 10, (1, 8, 8)),
        ("mine", 2, (2,)),
    ]
    assert made.data[0].sizes == {"train": 64, "validation": 16, "test": 32}
    augmented = {(item.key.noise, item.run.augmentation.active) for item, _ in made.runs}
    assert augmented == {("pictures", True), ("table", False)}
    assert TABLE in made.differs
    prints = {item.key.noise: resolved.fingerprint for item, resolved in made.runs}
    assert [data.fingerprint for data in made.data] == [prints["pictures"], prints["table"]]


def test_both_are_found_again_where_one_is_gone(request_of_two):
    request, table = request_of_two
    first = run(request, workers=1)
    assert (first.trained, first.failed) == (4, 0)
    table.unlink()
    again = report(request)
    assert again.results.data == first.results.data
    assert {cell.status for cell in again.results.cells} == {"complete"}
    assert TABLE in again.results.differs
    names = [data["name"] for data in json.loads((again.page.parent / "results.json").read_text())["data"]]
    assert names == ["digits", "mine"]
    assert "digits and mine" in again.page.read_text()


def _of_classes(tmp_path: Path, size: int) -> StudyRequest:
    table = tmp_path / "mine.csv"
    table.write_text("a,b,label\n" + "".join(f"{i % size},{i % 5},{i % size}\n" for i in range(200)))
    runs, reports = tmp_path / "runs", tmp_path / "reports"
    return StudyRequest("lukasik2020", "figure4", scale="smoke", data=str(table), runs=runs, reports=reports)


@pytest.mark.parametrize(("size", "chosen"), [(3, (0, 1, 2)), (4, (3, 0, 1)), (5, (3, 4, 0)), (10, (3, 8, 4))])
def test_a_figure_of_three_classes_takes_classes_that_the_data_have(tmp_path, size, chosen) -> None:
    request = _of_classes(tmp_path, size)
    made = make_plan(request, RunStore(request.runs))
    assert made.classes == chosen
    assert any("The three classes shown" in text for text in made.differs) == (chosen != (3, 8, 4))


def test_figure_4_is_drawn_of_data_with_three_classes(tmp_path) -> None:
    outcome = run(_of_classes(tmp_path, 3), workers=1)
    assert {cell.reason for cell in outcome.results.cells} == {""}
    assert "class 0" in outcome.page.read_text()


def test_with_two_classes_it_says_that_three_are_needed(tmp_path) -> None:
    outcome = run(_of_classes(tmp_path, 2), workers=1)
    reasons = {cell.reason for cell in outcome.results.cells if cell.seed == 0}
    assert reasons == {"not shown: classes: at least three classes; got 2 in the data; use data with more classes"}
