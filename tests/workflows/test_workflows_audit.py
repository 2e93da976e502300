"""`audit` from predictions and from data alone: what it finds and refuses, and what the reference may not touch."""

import csv
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor

from softtargets import noise
from softtargets._errors import InputError
from softtargets.data import DataSpec, load
from softtargets.workflows import audit_models
from softtargets.workflows.audit import run_audit
from softtargets.workflows.audit_request import AuditRequest

FILES = ("audit.json", "index.html", "suspects.csv", "suspects.parquet", "transition.csv")
ASYMMETRIC = torch.tensor([[0.9, 0.1, 0.0], [0.0, 0.7, 0.3], [0.1, 0.0, 0.9]])
PREVIOUS = ("label_posterior", "self_confidence", "normalized_margin", "confident_joint")

Run = Callable[..., Path]


def simulate(size: int = 3000, seed: int = 0, sharpness: float = 12.0) -> dict[str, np.ndarray]:
    """Return what a model that is right says, held out, of the observed labels, these labels and the clean ones."""
    generator = torch.Generator().manual_seed(seed)
    clean_probs = (sharpness * torch.randn(size, 3, generator=generator).double()).softmax(1)
    clean = torch.multinomial(clean_probs, 1, generator=generator)[:, 0]
    labels = torch.multinomial(ASYMMETRIC[clean].double(), 1, generator=generator)[:, 0]
    probs = (clean_probs @ ASYMMETRIC.double()).float()
    return {"probs": probs.numpy(), "labels": labels.numpy(), "clean": clean.numpy()}


def write_arrays(path: Path, content: dict[str, Any]) -> None:
    np.savez(path, **content)


def write_column(path: Path, values: Iterable[Any], name: str = "label") -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([[name], *([value] for value in values)])


def write_table(path: Path, labels: Iterable[int], inputs: np.ndarray) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*(f"x{i}" for i in range(inputs.shape[1])), "label"])
        writer.writerows([*row, label] for row, label in zip(inputs.tolist(), labels, strict=True))


@pytest.fixture
def audit(tmp_path, monkeypatch) -> Run:
    """Return a function that audits in a folder of its own and returns where the files are."""
    monkeypatch.chdir(tmp_path)

    def run(**settings: Any) -> Path:
        return run_audit(AuditRequest(**settings), workers=1).page.parent

    return run


@pytest.fixture
def simulated(tmp_path) -> dict[str, np.ndarray]:
    """Write simulated predictions to held.npz and return what they hold."""
    content = simulate()
    write_arrays(tmp_path / "held.npz", content)
    return content


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
    request = AuditRequest(predictions=(folder / "held.npz",), probs="probs", output=folder / "page")
    return run_audit(request).page.parent, content


def test_known_noise_is_found_from_predictions_alone(held):
    folder, simulated = held
    said = found(folder)
    wrong = simulated["labels"] != simulated["clean"]
    assert abs(said["noise_rate"]["estimate"] - wrong.mean()) < 0.03
    chosen = next(e for e in said["estimates"] if e["name"] == said["chosen_estimator"])
    off = (torch.tensor(chosen["transition"]) - ASYMMETRIC).abs().sum(1) / 2
    assert float(off.max()) < 0.06
    assert (said["confusions"][0]["clean"], said["confusions"][0]["observed"]) == ("1", "2")
    assert said["recommendation"]["action"] == "drop and relabel"
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
    assert min(likely) > 0.5
    assert [int(line["rank"]) for line in lines] == list(range(1, len(lines) + 1))
    assert all(line["given"] != line["suggested"] for line in lines)
    assert all(int(line["given"]) == simulated["labels"][int(line["row"])] for line in lines)
    table = pq.read_table(folder / "suspects.parquet")
    assert table.column_names == list(lines[0])
    assert table["row"].to_pylist() == [int(line["row"]) for line in lines]
    assert sum(row["suspects"] for row in found(folder)["classes"]) == len(lines) == found(folder)["suspects"]


def test_equal_predictions_give_equal_bytes(audit, simulated):
    settings = {"predictions": (Path("held.npz"),), "probs": "probs"}
    first, again = (audit(**settings, output=Path(name)) for name in ("first", "again"))
    for name in FILES:
        assert (first / name).read_bytes() == (again / name).read_bytes()


def test_logits_are_the_same_as_their_probabilities(audit, simulated, held):
    np.savez("logits.npz", logits=np.log(simulated["probs"]) + 3.0, labels=simulated["labels"])
    folder = audit(predictions=(Path("logits.npz"),))
    assert folder == Path("reports/audit-logits")
    by_probs, by_logits = found(held[0]), found(folder)
    assert by_logits["noise_rate"]["estimate"] == pytest.approx(by_probs["noise_rate"]["estimate"], abs=1e-3)
    assert by_logits["suspects"] == pytest.approx(by_probs["suspects"], abs=3)


@pytest.fixture
def with_reference(tmp_path, simulated) -> dict[str, np.ndarray]:
    """Write data sets whose own labels are the clean ones, and the clean ones shuffled, and the observed labels."""
    inputs = np.log(simulated["probs"]).round(3)
    write_table(tmp_path / "true.csv", simulated["clean"], inputs)
    write_table(tmp_path / "shuffled.csv", np.random.default_rng(0).permutation(simulated["clean"]), inputs)
    write_column(tmp_path / "observed.csv", simulated["labels"])
    return simulated


def without_judgement(folder: Path) -> dict[str, Any]:
    """Return what an audit says, less what it says of the reference and what it is called."""
    said = found(folder)
    for estimate in said["estimates"]:
        del estimate["distance_to_reference"]
    for score in said["scores"]:
        del score["auroc"], score["precision"]
    for cut in said["cuts"]:
        del cut["true"]
    for name in ("reference", "name", "labels", "command"):
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
    settings = {"labels": "observed.csv:label", "folds": 2, "epochs": 1}
    true, shuffled = (audit(data=f"{name}.csv", **settings) for name in ("true", "shuffled"))
    assert without_judgement(true) == without_judgement(shuffled)
    assert ranking(true) == ranking(shuffled)


def _not_summing(content):
    content["probs"][7] *= 0.5


def _not_finite(content):
    content["probs"][7, 1] = np.nan


def _short(content):
    content["labels"] = content["labels"][:-1]


def _out_of_range(content):
    content["labels"][7] = 3


def _logits(content):
    content["probs"] = np.log(content["probs"])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_not_summing, "row 7"),
        (_not_finite, "row 7"),
        (_short, "3000 labels"),
        (_out_of_range, "row 7"),
        (_logits, "--logits probs"),
    ],
)
def test_bad_predictions_are_refused_with_the_row_and_nothing_is_written(audit, tmp_path, spoil, words):
    content = simulate()
    spoil(content)
    write_arrays(tmp_path / "bad.npz", content)
    with pytest.raises(InputError, match=words):
        audit(predictions=(Path("bad.npz"),), probs="probs")
    assert not Path("reports").exists()


def test_predictions_must_belong_to_the_data(audit, with_reference):
    settings = {"predictions": (Path("held.npz"),), "probs": "probs"}
    differs = int((with_reference["labels"] != with_reference["clean"]).argmax())
    with pytest.raises(InputError, match=f"at row {differs}; got"):
        audit(data="true.csv", **settings)
    with pytest.raises(InputError, match="10 values in every row, the number of classes; got 3"):
        audit(data="digits", **settings)
    few = {name: values[:100] for name, values in with_reference.items()}
    write_arrays(Path("few.npz"), few)
    with pytest.raises(InputError, match="3000 rows"):
        audit(data="true.csv", labels="observed.csv:label", predictions=(Path("few.npz"),), probs="probs")
    assert not Path("reports").exists()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "--data, --predictions, or both"),
        ({"predictions": (Path("held.npz"),), "label": "y"}, "--label: given with --data"),
        ({"predictions": (Path("held.npz"),), "labels": "a.csv:b"}, "--labels: given with --data"),
        ({"data": "digits", "logits": "z"}, "--logits: given with --predictions"),
        ({"data": "digits", "labels": "observed.csv"}, "FILE:COLUMN"),
        ({"data": "digits", "output": Path("held.npz")}, "--output: a folder"),
        ({"data": "true.csv", "labels": "observed.csv:lable"}, "did you mean 'label'"),
    ],
)
def test_options_that_do_not_go_together_are_refused(audit, with_reference, settings, words):
    with pytest.raises(InputError, match=words):
        audit(**settings)
    assert not Path("reports").exists()


def test_predictions_without_labels_need_a_data_set(audit, simulated):
    np.savez("bare.npz", probs=simulated["probs"])
    with pytest.raises(InputError, match="labels beside the predictions, or --data"):
        audit(predictions=(Path("bare.npz"),))


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
