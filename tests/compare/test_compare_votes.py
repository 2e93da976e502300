"""A comparison of a table whose labels are votes."""

import json
from pathlib import Path

import numpy as np
import pytest
from compare.compare_examples import RECIPE, options

from softtargets._errors import InputError
from softtargets.compare import CompareOptions, CompareResults, compare_methods
from softtargets.compare.files import SPECIFICATION
from softtargets.compare.request import CompareRequest
from softtargets.metrics import label_uncertainty
from softtargets.runs.record import read_predictions
from softtargets.runs.store import RunStore
from softtargets.train import train_run

LONGER = {**RECIPE, "training": {**RECIPE["training"], "epochs": 20}}
METHODS = ("majority", "pseudo_counts", "label_smoothing")


def _write(path: Path, rows: int = 600) -> Path:
    """Write points of three classes, and five annotators who disagree between the classes."""
    draws = np.random.default_rng(0)
    points = 1.2 * draws.normal(size=(rows, 2))
    scores = points @ np.array([[1, 0], [-0.5, 0.9], [-0.5, -0.9]]).T
    shares = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    votes = np.stack([draws.multinomial(5, row) for row in shares])
    lines = [f"{x:.4f},{y:.4f},{a},{b},{c}" for (x, y), (a, b, c) in zip(points, votes, strict=True)]
    path.write_text("\n".join(["x,y,v_red,v_green,v_blue", *lines]) + "\n")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("compared")


@pytest.fixture(scope="module")
def results(folder) -> CompareResults:
    data = _write(folder / "table.csv")
    given = options(folder, methods=METHODS, votes="v", specification=LONGER)
    return compare_methods(data, output=folder / "page", options=given)


def test_measures_are_against_the_votes_and_say_so(results, folder):
    assert {method.name for method in results.methods} == {"cross_entropy", *METHODS}
    store = RunStore(folder / "runs")
    votes = read_predictions(store.path(next(iter(store.recorded())).identity))["test.votes"]
    best = label_uncertainty(votes)
    assert results.data.class_names == ("red", "green", "blue")
    assert f"no predictions reach an accuracy above {100 * (1 - float(best.error)):.2f} %" in str(results.data.votes)
    assert results.baseline.values["accuracy"] < 1 - float(best.error)
    assert results.baseline.values["nll"] > float(best.nll)
    assert results.data.noise_estimate == "not estimated, as labels are votes"
    assert any("trained on the shares of votes" in sentence for sentence in results.provenance.protocol)
    page = (folder / "page" / "index.html").read_text()
    assert "<dd>Votes of annotators</dd>" in page
    assert f"Labels are votes: {results.data.votes}." in page
    written = json.loads((folder / "page" / "compare.json").read_text())
    assert written["data"]["votes"] == results.data.votes


def test_the_shares_are_better_than_the_majority(results):
    """The labels are drawn from the shares, so that a network of the majority is over-confident."""
    majority = results.method("majority")
    assert majority.values["nll"] > results.baseline.values["nll"] + 0.02
    assert min(majority.temperatures) > 1.2
    assert majority.verdict.temperature["nll"].estimate < 0


def test_the_recommended_specification_trains(results, folder):
    trained = train_run(folder / "page" / SPECIFICATION, runs=folder / "runs")
    assert "test.votes.nll" in trained.metrics


def test_the_command_repeats_the_comparison():
    made = CompareOptions(votes="votes_a,votes_b")
    assert "--votes votes_a,votes_b" in str(CompareRequest("a.csv", None, made).command)
    made = CompareOptions(annotators=("ann", "bob"))
    assert "--annotators ann,bob" in str(CompareRequest("a.csv", None, made).command)


def test_votes_of_annotators_and_methods_that_need_classes(folder):
    with pytest.raises(
        InputError, match=r"^methods: .*'early_learning' \(it needs one class for each row, and the labels are votes\)"
    ):
        compare_methods(folder / "table.csv", options=options(folder, methods=("early_learning",), votes="v"))
