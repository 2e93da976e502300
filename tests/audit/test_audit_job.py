"""`audit` from predictions and from data alone: what it finds and refuses, and what the reference may not touch."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from audit.simulated_audits import ASYMMETRIC, Run, simulate, write_arrays, write_column, write_table
from torch import Tensor

from softtargets import noise
from softtargets._errors import InputError
from softtargets.audit import AuditOptions, AuditResults, AuditStage, audit_labels, write_page
from softtargets.audit import models as audit_models
from softtargets.data import DataSpec, load

FILES = (
    "all.parquet",
    "audit.json",
    "cleaned.csv",
    "index.html",
    "suspects.csv",
    "suspects.parquet",
    "transition.csv",
)
PREVIOUS = ("label_posterior", "self_confidence", "normalized_margin", "confident_joint")


def found(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "audit.json").read_text())


def suspects(folder: Path) -> list[dict[str, str]]:
    with (folder / "suspects.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def held(tmp_path_factory) -> tuple[Path, dict[str, np.ndarray]]:
    """Return the files of an audit of simulated predictions, and what those hold."""
    folder, content = tmp_path_factory.mktemp("held"), simulate()
    write_arrays(folder / "held.npz", content)
    results = audit_labels(predictions=folder / "held.npz", probs="probs", output=folder / "page")
    assert results.page == folder / "page" / "index.html"
    return folder / "page", content


def test_known_noise_is_found_from_predictions_alone(held):
    folder, simulated = held
    said = found(folder)
    wrong = simulated["labels"] != simulated["clean"]
    assert abs(said["noise_rate"]["estimate"] - wrong.mean()) < 0.03
    chosen = next(e for e in said["estimates"] if e["name"] == said["chosen_estimator"])
    off = (torch.tensor(chosen["transition"]) - ASYMMETRIC).abs().sum(1) / 2
    assert float(off.max()) < 0.06
    assert (said["confusions"][0]["clean"], said["confusions"][0]["observed"]) == ("1", "2")
    # the probabilities contain the noise: overlapping classes without noise explain the labels as well
    assert not said["noise_rate_told"]
    assert said["recommendation"]["action"] == "keep"
    rows = np.array([int(line["row"]) for line in suspects(folder)])
    assert wrong[rows].mean() > 0.75
    assert wrong[rows[:200]].mean() > 0.9
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)


def test_estimates_of_how_many_are_wrong_meet_the_truth(held):
    folder, simulated = held
    said, rows = found(folder), [int(line["row"]) for line in suspects(folder)]
    wrong = (simulated["labels"] != simulated["clean"])[rows].cumsum()
    cuts = {cut["first"]: cut for cut in said["cuts"]}
    for first in (100, 200, 500):
        assert abs(cuts[first]["estimate"] - wrong[first - 1]) < 0.1 * first
        assert cuts[first]["low"] <= cuts[first]["estimate"] <= cuts[first]["high"] <= first
    assert cuts[3000]["estimate"] == pytest.approx(3000 * said["noise_rate"]["estimate"])


def test_suspects_are_more_likely_wrong_than_right_and_in_order(held):
    folder, simulated = held
    lines = suspects(folder)
    likely = [float(line["probability_wrong"]) for line in lines]
    assert likely == sorted(likely, reverse=True)
    assert min(likely) > 0.2
    assert [int(line["rank"]) for line in lines] == list(range(1, len(lines) + 1))
    assert all(line["given"] != line["suggested"] for line in lines)
    assert all(int(line["given"]) == simulated["labels"][int(line["row"])] for line in lines)
    table = pq.read_table(folder / "suspects.parquet")
    assert table.column_names == list(lines[0])
    assert table["row"].to_pylist() == [int(line["row"]) for line in lines]
    assert sum(row["suspects"] for row in found(folder)["classes"]) == len(lines) == found(folder)["suspects"]


def test_equal_predictions_give_equal_bytes(audit, simulated):
    settings = {"predictions": (Path("held.npz"),), "probs": "probs"}
    folder = audit(**settings)
    before = {name: (folder / name).read_bytes() for name in FILES}
    (folder / "audit.json").unlink()
    assert audit(**settings) == folder
    assert {name: (folder / name).read_bytes() for name in FILES} == before


def test_logits_are_the_same_as_their_probabilities(audit, simulated, held):
    np.savez("logits.npz", logits=np.log(simulated["probs"]) + 3.0, labels=simulated["labels"])
    folder = audit(predictions=(Path("logits.npz"),))
    assert folder == Path("reports/audit-logits")
    by_probs, by_logits = found(held[0]), found(folder)
    assert by_logits["noise_rate"]["estimate"] == pytest.approx(by_probs["noise_rate"]["estimate"], abs=1e-3)
    assert by_logits["suspects"] == pytest.approx(by_probs["suspects"], abs=3)


def numbers(results: AuditResults) -> dict[str, Any]:
    """Return what an audit says, less what its inputs are called."""
    said = results.to_dict()
    for name in ("name", "labels", "predictions", "command", "settings", "row_order"):
        del said[name]
    return said


@pytest.mark.parametrize("kind", ["probs", "logits"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_arrays_give_the_numbers_of_the_same_arrays_in_a_file(tmp_path, monkeypatch, kind, dtype):
    monkeypatch.chdir(tmp_path)
    content = simulate()
    probs = content["probs"].astype(dtype)
    values = probs / probs.sum(1, keepdims=True) if kind == "probs" else np.log(probs) + 3
    arrays: dict[str, Any] = {"labels": content["labels"], kind: values}
    np.savez("same.npz", **arrays)
    options = AuditOptions(seed=3)
    of_file = audit_labels(predictions="same.npz", output="page", options=options)
    before = {name: (tmp_path / "page" / name).read_bytes() for name in FILES}
    of_arrays = audit_labels(**arrays, options=options)
    assert of_arrays.page is None
    assert of_arrays.provenance.command is None
    assert numbers(of_arrays) == numbers(of_file)
    tensors: dict[str, Any] = {"labels": torch.tensor(content["labels"]), kind: torch.tensor(values)}
    of_tensors = audit_labels(**tensors, output="page", options=options)
    for name in ("suspects.csv", "suspects.parquet", "transition.csv"):
        assert (tmp_path / "page" / name).read_bytes() == before[name]
    assert numbers(of_tensors) == numbers(of_file)
    assert "This command" not in (tmp_path / "page" / "index.html").read_text()


def test_nothing_is_written_unless_a_folder_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = simulate(300)
    results = audit_labels(content["labels"], content["probs"])
    assert list(tmp_path.iterdir()) == []
    assert write_page(results, tmp_path / "mine") == tmp_path / "mine" / "index.html"
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == sorted(FILES)


def test_stages_are_told_in_their_order():
    content, told = simulate(300), []
    audit_labels(content["labels"], content["probs"], options=AuditOptions(on_progress=told.append))
    assert all(isinstance(stage, AuditStage) and 0 <= stage.done <= 1 for stage in told)
    assert list(dict.fromkeys(stage.name for stage in told)) == ["reading", "estimating T", "scoring", "ranking"]


def test_arrays_of_a_data_set_show_its_examples_and_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    labels = load(DataSpec(name="digits", test=0.0, validation=0.0)).labels
    probs = 0.9 * torch.eye(10)[labels] + 0.01
    probs[7] = probs[7].roll(1)
    results = audit_labels(probs=probs, data="digits")
    assert results.audited.name == "digits"
    assert results.ranking.suspects.rows.tolist() == [7]
    assert results.ranking.previews[0].picture is not None
    with pytest.raises(InputError, match="at row 0; got"):
        audit_labels(labels.roll(1), probs, data="digits")
    with pytest.raises(InputError, match="probs: 10 values in every row"):
        audit_labels(labels % 3, torch.full((len(labels), 3), 1 / 3), data="digits")


def test_names_of_the_classes_of_arrays_can_be_given():
    content = simulate(300)
    options = AuditOptions(class_names=("cat", "dog", "owl"))
    assert audit_labels(content["labels"], content["probs"], options=options).audited.class_names == (
        "cat",
        "dog",
        "owl",
    )
    assert audit_labels(content["labels"], content["probs"]).audited.class_names == ("0", "1", "2")


def without_judgement(folder: Path) -> dict[str, Any]:
    """Return what an audit says, less what it says of the reference and what it is called."""
    said = found(folder)
    for estimate in said["estimates"]:
        del estimate["distance_to_reference"]
    for score in said["scores"]:
        del score["auroc"], score["precision"]
    for cut in said["cuts"]:
        del cut["true"]
    for name in ("reference", "name", "labels", "command", "settings"):
        del said[name]
    return said


def ranking(folder: Path) -> list[dict[str, str]]:
    return [{name: text for name, text in line.items() if "reference" not in name} for line in suspects(folder)]


def test_the_reference_judges_and_changes_nothing(audit, with_reference):
    settings = {"predictions": (Path("held.npz"),), "probs": "probs", "labels": "observed.csv:label"}
    true, shuffled = (audit(data=f"{name}.csv", **settings) for name in ("true", "shuffled"))
    assert without_judgement(true) == without_judgement(shuffled)
    assert ranking(true) == ranking(shuffled)
    assert (true / "transition.csv").read_bytes() == (shuffled / "transition.csv").read_bytes()
    # while the judgements do follow the reference
    wrong = (with_reference["labels"] != with_reference["clean"]).mean()
    assert found(true)["reference"]["noise_rate"] == pytest.approx(wrong)
    assert found(true)["scores"][0]["auroc"] > 0.9 > 0.6 > found(shuffled)["scores"][0]["auroc"]
    mean = np.mean(found(true)["estimates"][0]["distance_to_reference"])
    assert mean < 0.06 < np.mean(found(shuffled)["estimates"][0]["distance_to_reference"])


def test_the_reference_enters_no_model_either(audit, with_reference):
    settings = {"labels": "observed.csv:label", "folds": 2}
    true, shuffled = (audit(data=f"{name}.csv", **settings) for name in ("true", "shuffled"))
    assert without_judgement(true) == without_judgement(shuffled)
    assert ranking(true) == ranking(shuffled)


def _saying(probs: np.ndarray, labels: np.ndarray) -> Callable[[Run], dict[str, Any]]:
    def of(audit: Run) -> dict[str, Any]:
        np.savez("said.npz", probs=probs, labels=labels)
        return found(audit(predictions=(Path("said.npz"),)))

    return of


@pytest.mark.parametrize("kind", ["random", "uniform", "majority", "columns"])
def test_a_model_that_knows_nothing_is_not_audited_as_if_it_knew(audit, kind):
    random = np.random.default_rng(0)
    labels = random.choice(3, 2000, p=[0.5, 0.3, 0.2])
    probs = {
        "random": random.dirichlet(np.ones(3), 2000),
        "uniform": np.full((2000, 3), 1 / 3),
        "majority": np.tile([0.5, 0.3, 0.2], (2000, 1)),
        "columns": np.roll(0.9 * np.eye(3)[labels] + 0.1 / 3, 1, axis=1),
    }[kind]
    said = _saying(probs, labels)(audit)
    assert said["recommendation"]["action"] == "get better predictions"
    assert "No finding" in Path("reports/audit-said/index.html").read_text()


def test_a_model_that_knows_a_little_is_audited(audit):
    random = np.random.default_rng(0)
    labels = random.choice(3, 2000)
    known = np.where(random.random(2000) < 0.1, labels, random.choice(3, 2000))
    said = _saying(0.5 * np.eye(3)[known] + 0.5 / 3, labels)(audit)
    assert said["recommendation"]["action"] != "get better predictions"
    assert "No finding" not in Path("reports/audit-said/index.html").read_text()


def test_of_all_labels_as_many_are_wrong_as_the_rate_says_though_some_have_probability_0(audit):
    """A 0 is what a model that is sure writes, and no certainty: without noise none is wrong, with noise some are."""
    labels = np.arange(1000) % 2
    sure = np.where(np.arange(1000) < 20, 1 - labels, labels)
    said = _saying(np.eye(2)[sure], labels)(audit)
    assert said["noise_rate"]["estimate"] == pytest.approx(0.02)
    assert said["cuts"][-1]["estimate"] == pytest.approx(20, abs=1e-6)
    # one prediction that is torn between two other classes is no wrong label yet
    probs = np.tile([[0.6, 0.4, 0.0], [0.4, 0.6, 0.0], [0.05, 0.05, 0.9]], (300, 1))
    probs[2] = [0.5, 0.5, 0.0]
    said = _saying(probs, np.tile(np.arange(3), 300))(audit)
    assert said["noise_rate"]["estimate"] < 0.5 / 900
    assert said["cuts"][-1]["estimate"] < 0.5
    assert said["suspects"] == 0


def test_classes_with_few_labels_or_none_are_named(audit):
    labels = np.repeat([0, 1, 2], [300, 300, 9])
    said = _saying(0.9 * np.eye(4)[labels] + 0.025, labels)(audit)
    assert "which have fewer than 10 labels: 2, 3." in said["recommendation"]["reason"][-1]
    assert said["recommendation"]["evidence"]["Classes with too few labels"] == 2
    assert "which have fewer than 10 labels: 2, 3." in Path("reports/audit-said/index.html").read_text()


def test_confusions_that_round_to_none_are_left_out(audit):
    labels = np.repeat([0, 1], 300)
    probs = 0.8 * np.eye(2)[labels] + 0.1
    probs[0] = [0.1, 0.9]
    said = _saying(probs, labels)(audit)
    assert [round(pair["estimate"]) for pair in said["confusions"]] == [1]
    # no label is contradicted
    assert _saying(0.8 * np.eye(2)[labels] + 0.1, labels)(audit)["confusions"] == []


def test_columns_of_texts_and_of_numbers_can_be_named(audit, tmp_path):
    words = (["apple", "pear", "plum"], ["saw", "nail", "hammer"])
    with (tmp_path / "both.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["words", "other", "length", "label"])
        writer.writerows([words[i % 2][i % 3], f"note {i}", i % 2 + 0.1 * (i % 5), i % 2] for i in range(120))
    command = "softtargets audit --data both.csv {} --folds 2 --seed 0 --top 200"
    said = found(audit(data="both.csv", text="words", folds=2))
    assert "TF-IDF" in said["predictions"]
    assert said["command"] == command.format("--text words")
    assert said["held_out_agreement"] == 1
    said = found(audit(data="both.csv", features=("length",), folds=2, output=Path("numbers")))
    assert "gradient boosting" in said["predictions"]
    assert said["command"] == command.format("--output numbers --features length")


def test_fewer_labels_than_the_precision_is_of_are_all_of_them(audit, tmp_path):
    labels = np.arange(60) % 2
    write_table(tmp_path / "few.csv", labels, np.eye(2)[labels])
    write_column(tmp_path / "few-observed.csv", labels)
    write_arrays(tmp_path / "few.npz", {"probs": 0.8 * np.eye(2)[labels] + 0.1})
    folder = audit(data="few.csv", labels="few-observed.csv:label", predictions=(Path("few.npz"),))
    assert "share of wrong labels among the first 60" in (folder / "index.html").read_text()


@pytest.fixture
def noisy_digits(tmp_path) -> Tensor:
    """Write digits' labels with 20 % symmetric noise to noisy.csv and return which of them are wrong."""
    clean = load(DataSpec(name="digits", test=0.0, validation=0.0)).labels
    drawn = noise.corrupt(clean, noise.symmetric(0.2, 10), generator=torch.Generator().manual_seed(0))
    write_column(tmp_path / "noisy.csv", drawn.noisy_labels.tolist())
    return drawn.noisy_labels != clean


def test_models_are_cross_validated_once_where_there_are_no_predictions(audit, noisy_digits):
    settings = {"data": "digits", "labels": "noisy.csv:label", "folds": 3, "epochs": 4, "top": 10}
    folder = audit(**settings)
    said = found(folder)
    assert said["rows"] == 1797
    assert abs(said["noise_rate"]["estimate"] - 0.2) < 0.04
    assert said["reference"]["noise_rate"] == pytest.approx(0.2, abs=0.005)
    scores = {score["name"]: score["auroc"] for score in said["scores"]}
    assert set(scores) == {*PREVIOUS, *audit_models.DYNAMICS}
    assert min(scores.values()) > 0.9
    assert said["model"]["folds"] == 3
    assert (folder / "index.html").read_text().count("data:image/png;base64,") == 10
    rows = torch.tensor([int(line["row"]) for line in suspects(folder)])
    assert float(noisy_digits[rows].double().mean()) > 0.9
    runs = {path: path.stat().st_mtime_ns for path in Path("runs").glob("*/result.json")}
    assert len(runs) == 3
    before = {name: (folder / name).read_bytes() for name in FILES}
    assert audit(**settings) == folder
    assert {path: path.stat().st_mtime_ns for path in Path("runs").glob("*/result.json")} == runs
    assert {name: (folder / name).read_bytes() for name in FILES} == before


def test_texts_are_audited_from_a_csv_alone_and_shown(audit, tmp_path):
    fruit, tool = (
        ["a ripe apple", "sweet pears and plums", "<b>fresh</b> cherries"],
        ["a steel hammer", "saws", "nails"],
    )
    lines = [(f"{fruit[i % 3]} {i}", "fruit") for i in range(60)] + [(f"{tool[i % 3]} {i}", "tool") for i in range(60)]
    lines[2] = (lines[2][0], "tool")
    with (tmp_path / "things.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *lines])
    folder = audit(data="things.csv", folds=3)
    assert [(line["row"], line["given_name"], line["suggested_name"]) for line in suspects(folder)] == [
        ("2", "tool", "fruit")
    ]
    page = (folder / "index.html").read_text()
    assert "&lt;b&gt;fresh&lt;/b&gt; cherries 2" in page
    assert "<b>fresh</b>" not in page


def test_numbers_are_shown_where_the_data_are_a_table(audit, with_reference):
    folder = audit(data="true.csv", labels="observed.csv:label", predictions=(Path("held.npz"),), probs="probs", top=3)
    row = int(suspects(folder)[0]["row"])
    shown = [f"{value:g}" for value in np.log(with_reference["probs"]).round(3)[row].tolist()]
    assert " · ".join(shown) in (folder / "index.html").read_text()


def test_tensors_arrays_and_files_give_the_same_results_as_plain_data(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    labels = np.arange(200) % 2
    predicted = np.where(np.arange(200) % 10 == 0, 1 - labels, labels)
    probs = np.where(np.arange(2) == predicted[:, None], 0.9, 0.1)
    np.savez(tmp_path / "held.npz", probs=probs, labels=labels)
    found = [
        audit_labels(labels, probs),
        audit_labels(torch.tensor(labels), torch.tensor(probs)),
        audit_labels(labels.tolist(), probs.tolist()),
        audit_labels(predictions="~/held.npz", output="~/page"),
    ]
    assert len({json.dumps(results.to_dict()["estimates"]) for results in found}) == 1
    assert found[-1].page == tmp_path / "page" / "index.html"
    for results in found:
        assert json.loads(json.dumps(results.to_dict(), allow_nan=False)) == results.to_dict()
        assert {results: 1}[results] == 1
        assert hash(results.recommendation) == hash(results.recommendation)
