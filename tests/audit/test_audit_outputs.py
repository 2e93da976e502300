"""The files beside the page: every row, the labels to keep, and the specification to train with."""

import csv
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from softtargets import noise
from softtargets._spec import read_toml
from softtargets.audit import AuditOptions, audit_labels
from softtargets.audit.files import suspects_csv
from softtargets.audit.results import Action, Suspects
from softtargets.audit.rows import WRONG
from softtargets.audit.specification import TrainingPlan
from softtargets.evaluate import evaluate_predictions
from softtargets.noise.streaming.blocks import LabelledBlock
from softtargets.runs.spec import RunSpec
from softtargets.train.run import train_run

WORDS = (["apple", "pear", "plum", "cherry"], ["saw", "nail", "hammer", "=drill"])


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_texts(path: Path, size: int = 240) -> list[tuple[str, str]]:
    """Write texts of two classes, of which every 12th has the wrong label; return them."""
    lines = []
    for row in range(size):
        kind = row % 2
        words = " ".join(WORDS[kind][(row // 2 + step) % 4] for step in range(3))
        wrong = row % 12 == 5
        lines.append((f"{words}, {row}", ("fruit", "tool")[kind ^ wrong]))
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *lines])
    return lines


def plan_for(action: Action) -> TrainingPlan:
    source = {"name": "things.csv", "label": "label", "text": "text"}
    content = {"model": {"name": "mlp", "hidden": ()}, "training": {"epochs": 1, "batch_size": 32}}
    return TrainingPlan(content, source, action, None, "text", ())


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_texts_are_cleaned_and_trained_on_as_recommended(folder):
    lines = write_texts(folder / "things.csv")
    model = make_pipeline(TfidfVectorizer(), LogisticRegression(C=100.0))
    options = AuditOptions(workers=1, folds=3, model=model)
    results = audit_labels(data="things.csv", output="out", options=options)
    every = results.rows
    assert every is not None

    def judge(block: LabelledBlock) -> dict[str, torch.Tensor]:
        return {**every.judge(block), WRONG: 1 - block.probs.gather(1, block.labels[:, None])[:, 0]}

    # so that some labels are left out, whatever the audit finds
    plan = plan_for("drop and relabel")
    replace(every, judge=judge, dropped_from=0.5, specification=plan.toml).write(Path("out"))
    whole = pq.read_table("out/all.parquet")
    assert whole["row"].to_pylist() == list(range(len(lines)))
    assert whole["text"].to_pylist() == [text for text, _ in lines]
    assert whole["given_name"].to_pylist() == [label for _, label in lines]
    # the suspects are those rows, whichever they are
    wrong = np.array(whole["probability_wrong"].to_pylist())
    rows = np.argsort(-wrong, kind="stable")[:20]
    shown = ("given", "suggested", "probability_wrong")
    given, suggested, probability = (torch.tensor(whole[name].to_pylist())[rows] for name in shown)
    scores = {name: torch.tensor(whole[name].to_pylist())[rows] for name in results.ranking.suspects.scores}
    made = Suspects(torch.from_numpy(rows), given, suggested, probability, scores)
    written = suspects_csv(replace(results, ranking=replace(results.ranking, suspects=made))).decode()
    suspects = list(csv.DictReader(written.splitlines()))
    assert [int(line["row"]) for line in suspects] == rows.tolist()
    assert [line["text"].removeprefix("'") for line in suspects] == [lines[row][0] for row in rows]
    assert all(line["text"].startswith("'=") for line in suspects if "=" in line["text"][:2])
    kept = [row for row in range(len(lines)) if wrong[row] < 0.5]
    assert len(kept) < len(lines)
    cleaned = read(Path("out/cleaned.csv"))
    assert [(line["text"], line["label"]) for line in cleaned] == [lines[row] for row in kept]
    assert [int(line["row"]) for line in cleaned] == kept
    # the probabilities of all rows can be evaluated
    evaluated = evaluate_predictions(predictions="out/all.parquet", labels="given")
    accuracy = evaluated.main.metric("accuracy")
    assert accuracy is not None
    assert accuracy.value == pytest.approx(results.audited.agreement)
    assert read_toml("out/train.toml")["data"]["name"] == "out/cleaned.csv"
    assert train_run("out/train.toml").status == "trained"


def test_a_transition_of_an_audit_is_read_and_trained_with(folder):
    write_texts(folder / "things.csv")
    audit_labels(data="things.csv", output="out", options=AuditOptions(workers=1, folds=3))
    transition = noise.load_transition("out/transition.csv", class_names=["tool", "fruit"]).to_dense()
    torch.testing.assert_close(transition.sum(1), torch.ones(2, dtype=torch.float64))
    Path("train.toml").write_bytes(plan_for("compare corrections").toml(Path("out")))
    forward = next(line for line in Path("train.toml").read_text().splitlines() if line.startswith("# To compare"))
    objective = forward.partition("objective = ")[2].partition(";")[0]
    specification = read_toml("train.toml") | tomllib.loads(f"objective = {objective}")
    assert specification["objective"]["name"] == "forward"
    first = train_run(specification)
    assert first.status == "trained"
    # another path of the same file is the same run, another content is another
    Path("moved.csv").write_bytes(Path("out/transition.csv").read_bytes())
    specification["objective"]["transition"]["file"] = "moved.csv"
    assert train_run(specification).status == "present"
    Path("moved.csv").write_text("clean,fruit,tool\nfruit,0.9,0.1\ntool,0.1,0.9\n")
    assert train_run(specification).folder != first.folder
    Path("moved.csv").write_text("clean,fruit,spoon\nfruit,0.9,0.1\nspoon,0.1,0.9\n")
    with pytest.raises(ValueError, match=r"objective.transition.file: the 2 classes fruit, tool; got"):
        train_run(specification)


def test_images_are_named_by_their_files(folder):
    random, rows = np.random.default_rng(0), 60
    for row in range(rows):
        values = random.integers(0, 40, (8, 8), dtype=np.uint8) + 150 * (row % 2)
        place = folder / "pictures" / ("dark", "light")[(row % 2) ^ (row in (7, 20))]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values.astype(np.uint8)).save(place / f"{row:02d}.png")
    options = AuditOptions(workers=1, folds=3, model=LogisticRegression())
    results = audit_labels(data="pictures", output="out", options=options)
    paths = pq.read_table("out/all.parquet")["image"].to_pylist()
    assert paths == [str(path) for path in sorted((folder / "pictures").glob("*/*.png"))]
    wrong = np.array(pq.read_table("out/all.parquet")["probability_wrong"].to_pylist())
    assert {Path(paths[row]).name for row in np.argsort(-wrong)[:2]} == {"07.png", "20.png"}
    assert {Path(line["image"]).name for line in read(Path("out/cleaned.csv"))} >= {"00.png", "59.png"}
    assert results.page is not None


@pytest.mark.parametrize("action", ["keep", "compare corrections", "drop and relabel"])
@pytest.mark.parametrize("column", ["text", None])
def test_every_recommendation_has_a_valid_specification(tmp_path, action: Any, column: str | None):
    source: dict[str, Any] = {"name": 'some "odd" näme.csv', "label": "label"}
    source |= {"text": "text"} if column else {"features": ("a", "b")}
    content = {"model": {"name": "mlp", "hidden": (4,)}, "training": {"epochs": 2, "batch_size": 8}}
    plan = TrainingPlan(content, source, action, ("people.csv", "worse"), column, ("a", "b"))
    path = tmp_path / "train.toml"
    path.write_bytes(plan.toml(Path("reports/out")))
    run = RunSpec.parse(read_toml(path))
    cleaned = action == "drop and relabel"
    assert run.data.name == ("reports/out/cleaned.csv" if cleaned else 'some "odd" näme.csv')
    assert run.data.text == column
    assert (run.noise is None) == cleaned
    assert run.objective.name == "cross_entropy"


def test_predictions_without_data_have_rows_and_labels(folder, simulated, monkeypatch):
    options = AuditOptions()
    audit_labels(predictions="held.npz", output="out", options=options)
    whole = pq.read_table("out/all.parquet")
    assert whole["given"].to_pylist() == simulated["labels"].tolist()
    np.testing.assert_allclose(np.array(whole["probs"].to_pylist()), simulated["probs"], atol=1e-6)
    assert set(read(Path("out/cleaned.csv"))[0]) == {"label", "row"}
    assert not Path("out/train.toml").exists()
    monkeypatch.setattr("softtargets.audit.outputs.MOST_NUMBERS", 100)
    audit_labels(predictions="held.npz", output="large", options=options)
    assert pq.read_table("large/all.parquet").column_names == whole.column_names[:-1]
