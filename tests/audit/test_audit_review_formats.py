"""The files that people get, and what is read of their decisions."""

import base64
import csv
import io
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from audit.reviewed_audits import CLASSES, WRONG, audit_images, audit_table, audit_texts, labels, truth
from PIL import Image

from softtargets._errors import InputError
from softtargets.audit import export_review
from softtargets.audit.review.decisions import Decision
from softtargets.audit.review.folder import AuditFolder, read_audit
from softtargets.audit.review.formats import FORMATS, find_format, read_decisions
from softtargets.audit.review.items import choose_items
from softtargets.cli.review import ReviewFormatName


@pytest.fixture(scope="module")
def texts(tmp_path_factory) -> AuditFolder:
    return read_audit(audit_texts(tmp_path_factory.mktemp("texts")))


def lines_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def read(audit: AuditFolder, path: Path, content: Any) -> list[Decision]:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_decisions([path], audit)


def test_suspects_come_first_and_the_random_rows_are_others(texts):
    batch = choose_items(texts, first=5, random=30, seed=1)
    suspects, drawn = batch.items[:5], batch.items[5:]
    assert [item.row for item in suspects] == texts.suspects[:5].tolist()
    assert [item.rank for item in suspects] == [1, 2, 3, 4, 5]
    assert [item.drawn for item in batch.items] == ["suspect"] * 5 + ["random"] * 30
    assert not {item.row for item in suspects} & {item.row for item in drawn}
    assert choose_items(texts, first=5, random=30, seed=1).items == batch.items
    assert choose_items(texts, first=5, random=30, seed=2).items != batch.items
    assert len(choose_items(texts, first=None, random=0, seed=0).items) == len(texts.suspects) >= 20
    # a label that is more probable than any other class has no other suggestion
    given = labels()
    assert all(item.suggested == given[item.row] for item in drawn if item.wrong < 0.1)


@pytest.mark.parametrize(
    ("first", "random", "message"),
    [
        (0, 0, "first: a label to review; got"),
        (-1, 0, "first: a whole number of at least 0; got -1"),
        (0, 241, "random: at most 240, the number of other labels; got 241"),
    ],
)
def test_batches_that_cannot_be_are_refused(texts, first, random, message):
    with pytest.raises(InputError, match=message):
        choose_items(texts, first=first, random=random, seed=0)


def test_the_formats_of_the_command_line_are_all_formats():
    assert {name.value for name in ReviewFormatName} == set(FORMATS)
    with pytest.raises(InputError, match=r"to: one of .*; got 'labelstudio'; did you mean 'label-studio'"):
        find_format("labelstudio")


def test_a_table_has_everything_and_comes_back(texts):
    (path,) = export_review(texts.path, "csv", first=4, random=2)
    lines = lines_of(path)
    assert len(lines) == 6
    first = lines[0]
    row = int(first["row"])
    assert (first["rank"], first["drawn"], first["exported"]) == ("1", "suspect", "4")
    assert (lines[-1]["rank"], lines[-1]["drawn"]) == ("", "random")
    assert first["text"] == f"'=text <b>{row}</b>"
    guarded = ["'=sum", "fruit", "tool"]
    assert first["given"] == guarded[labels()[row]]
    assert first["suggested"] == guarded[truth()[row]]
    assert 0.5 < float(first["probability_wrong"]) <= 1
    assert read_decisions([path], texts) == []
    for line, label in zip(lines, [first["suggested"], "?", "tool", "", "2", "'=sum"], strict=True):
        line["label"], line["reviewer"] = label, "ann"
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(first))
    writer.writeheader()
    writer.writerows(lines)
    found = read(texts, path.with_name("mine.csv"), stream.getvalue())
    assert [one.label for one in found] == [truth()[row], None, 2, 2, 0]
    assert {(one.reviewer, one.exported) for one in found} == {("ann", 4)}
    assert [one.drawn for one in found] == ["suspect"] * 3 + ["random"] * 2


def test_a_table_of_numbers_keeps_its_columns(tmp_path):
    (path,) = export_review(audit_table(tmp_path), "csv", first=3)
    line = lines_of(path)[0]
    row = int(line["row"])
    assert float(line["'=width"]) == row / 2
    assert float(line["column row"]) == -row


def test_a_plain_file_with_row_and_label_is_enough(texts, tmp_path):
    found = read(texts, tmp_path / "bob.csv", "row,label\n3,tool\n4,?\n")
    assert found == [Decision(3, 2, "bob"), Decision(4, None, "bob")]
    # Label Studio's CSV export
    found = read(texts, tmp_path / "l.csv", "annotator,row,drawn,exported,label\n7,3,random,9,fruit\n")
    assert found == [Decision(3, 1, "7", "random", 9)]


def test_label_studio_gets_tasks_and_a_configuration(texts):
    tasks_path, configuration = export_review(texts.path, "label-studio", first=3)
    tasks = json.loads(tasks_path.read_text())
    root = ElementTree.fromstring(configuration.read_text())
    choices = root.find("Choices")
    assert choices is not None
    assert [choice.get("value") for choice in choices] == list(CLASSES)
    field = root.find(choices.get("toName", "").capitalize())
    assert field is not None
    for task in tasks:
        (prediction,) = task["predictions"]
        (result,) = prediction["result"]
        # the names that the configuration uses, and a class that it has
        assert (result["from_name"], result["to_name"]) == (choices.get("name"), choices.get("toName"))
        assert result["type"] == "choices"
        assert result["value"]["choices"] == [task["data"]["suggested"]]
        assert task["data"]["suggested"] in set(CLASSES) - {task["data"]["given"]}
        assert task["data"][field.get("value", "").removeprefix("$")] == f"=text <b>{task['data']['row']}</b>"


def annotated(task: dict[str, Any], *annotations: dict[str, Any]) -> dict[str, Any]:
    return {"id": 1, **task, "annotations": list(annotations)}


def chosen(*names: str, by: Any = 1, **more: Any) -> dict[str, Any]:
    value = {"choices": list(names)}
    result = [{"from_name": "label", "to_name": "text", "type": "choices", "value": value}]
    return {"completed_by": by, "result": result, "was_cancelled": False, **more}


def test_decisions_of_label_studio_are_read(texts, tmp_path):
    tasks = json.loads(export_review(texts.path, "label-studio", first=3)[0].read_text())
    rows = [task["data"]["row"] for task in tasks]
    content = [
        annotated(tasks[0], chosen("tool"), chosen("fruit", by={"id": 2, "email": "b@c.d"})),
        annotated(tasks[1], {"completed_by": 1, "result": [], "was_cancelled": True}),
        annotated(tasks[2], {"completed_by": 1, "result": [], "was_cancelled": False}),
    ]
    found = read(texts, tmp_path / "export.json", content)
    assert found == [
        Decision(rows[0], 2, "1", "suspect", 3),
        Decision(rows[0], 1, "b@c.d", "suspect", 3),
        Decision(rows[1], None, "1", "suspect", 3),
    ]
    with pytest.raises(InputError, match="decisions: one class; got 'tool' and 'fruit' in task 0"):
        read(texts, tmp_path / "export.json", [annotated(tasks[0], chosen("tool", "fruit"))])
    # the smaller export, JSON_MIN
    small = [{**tasks[0]["data"], "id": 1, "label": "tool", "annotator": 3}]
    assert read(texts, tmp_path / "small.json", small) == [Decision(rows[0], 2, "3", "suspect", 3)]


def test_pictures_go_to_label_studio_and_fiftyone_as_they_are(tmp_path):
    folder = audit_images(tmp_path)
    audit = read_audit(folder)
    task = json.loads(export_review(folder, "label-studio", first=1)[0].read_text())[0]
    row = task["data"]["row"]
    head, data = task["data"]["image"].split(",")
    assert head == "data:image/png;base64"
    assert audit.examples is not None
    assert audit.examples.shown is not None
    source = Path(audit.examples.shown[row])
    assert base64.b64decode(data) == source.read_bytes()
    files = export_review(folder, "fiftyone", first=2, random=1)
    content = json.loads(files[0].read_text())
    assert content["classes"] == list(CLASSES)
    names = list(content["labels"])
    assert names[0] == f"suspect-{row}-2"
    assert names[2].startswith("random-")
    images = {path.stem: path for path in (folder / "fiftyone/data").iterdir()}
    assert set(images) == set(names)
    assert images[names[0]].read_bytes() == source.read_bytes()
    assert np.asarray(Image.open(images[names[0]])).max() == int(source.stem)
    # what FiftyOne exports again: one label was changed
    suggested = json.loads(files[1].read_text())["labels"]
    changed = {**content["labels"], names[0]: suggested[names[0]]}
    found = read(audit, tmp_path / "labels.json", {**content, "labels": changed})
    assert found[0] == Decision(row, suggested[names[0]], "labels", "suspect", 2)
    assert suggested[names[0]] != content["labels"][names[0]]
    assert [one.label for one in found[1:]] == list(changed.values())[1:]
    assert found[2].drawn == "random"


def test_fiftyone_does_not_take_texts(texts):
    with pytest.raises(InputError, match="to: a data set of images for fiftyone; got 'texts'"):
        export_review(texts.path, "fiftyone")


ROW = int(np.flatnonzero(WRONG)[0])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "row,label\n240,tool\n", "rows below 240, the number of audited labels; got 240 in line 2"),
        ("a.csv", "row,label\n-1,tool\n", "a whole number as row; got '-1' in line 2"),
        ("a.csv", "row,label\n1,tol\n", "a class; got 'tol' in line 2 .*; did you mean 'tool'"),
        ("a.csv", f"row,given,label\n{ROW},{CLASSES[truth()[ROW]]},tool\n", f"the audited label of row {ROW}"),
        ("a.csv", "row;label\n1;tool\n", "decisions: a CSV file with the columns row and label, or a JSON export"),
        ("a.json", '{"row": 1}', "decisions: a CSV file with the columns row and label, or a JSON export"),
        ("a.json", "{", "decisions: a CSV or JSON file"),
        ("a.json", '{"classes": [], "labels": {"img1": "tool"}}', "names such as suspect-12-200; got 'img1'"),
    ],
)
def test_other_files_are_refused(texts, tmp_path, name, text, message):
    with pytest.raises(InputError, match=message):
        read(texts, tmp_path / name, text)


def test_a_folder_that_is_no_audit_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"folder: the folder of an audit, .*without audit\.json"):
        export_review(tmp_path)
