"""Evaluation against votes: expected scores, the part that cannot be avoided, temperatures, and the file of rows."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluate.evaluation_files import simulate, values, write_arrays, write_csv
from torch import Tensor
from torch.nn.functional import one_hot

from softtargets import metrics
from softtargets._errors import InputError
from softtargets.evaluate import EvaluationOptions, evaluate_predictions
from softtargets.evaluate.calibrate import FOLDS, fold_of
from softtargets.evaluate.votes import suite

N, K, VOTES = 600, 4, 3
OPTIONS = EvaluationOptions(n_draws=50)


def _simulated(sharpness: float = 1.5) -> tuple[Tensor, Tensor]:
    """Return logits and three votes for each row."""
    logits, _ = simulate(N, K)
    drawn = torch.multinomial((logits / sharpness).softmax(1), VOTES, True, generator=torch.Generator().manual_seed(1))
    return logits, one_hot(drawn, K).sum(1)


LOGITS, COUNTS = _simulated()


def test_scores_against_votes_are_those_of_the_metrics() -> None:
    results = evaluate_predictions(logits=LOGITS, labels=COUNTS, options=OPTIONS)
    votes = results.main.votes
    assert votes is not None
    for name in ("accuracy", "nll", "brier", "ece"):
        found = votes.scores.metric(name)
        assert found.value == float(getattr(metrics, name)(logits=LOGITS, labels=COUNTS)), name
        assert found.value is not None
        assert found.interval is not None
        if name != "ece":
            assert found.interval.low < found.value < found.interval.high
    least = metrics.label_uncertainty(COUNTS)
    assert votes.least["nll"] == pytest.approx(float(least.nll), abs=1e-9)
    assert votes.least["brier"] == pytest.approx(float(least.brier), abs=1e-9)
    assert votes.least["accuracy"] == pytest.approx(1 - float(least.error), abs=1e-9)
    nll = votes.scores.metric("nll").value
    assert nll is not None
    assert votes.scores.divergence == pytest.approx(nll - votes.least["nll"], abs=1e-9)
    assert votes.rows == N
    assert votes.unanimous == int((COUNTS == VOTES).any(1).sum())
    assert votes.ties == int(((COUNTS.amax(1, keepdim=True) == COUNTS).sum(1) > 1).sum())
    assert sum(votes.entropies) == N


def test_everything_else_is_that_of_the_most_frequent_class() -> None:
    against_votes = evaluate_predictions(logits=LOGITS, labels=COUNTS, options=OPTIONS).main
    labels = COUNTS.max(1).indices
    plain = evaluate_predictions(logits=LOGITS, labels=labels, options=OPTIONS).main
    assert plain.votes is None
    assert against_votes.metrics == plain.metrics
    assert against_votes.temperature == plain.temperature
    assert against_votes.classes == plain.classes


def test_a_temperature_of_votes_predicts_them_better_than_one_of_the_most_frequent_class() -> None:
    votes = evaluate_predictions(logits=LOGITS / 1.5, labels=COUNTS, options=OPTIONS).main.votes
    assert votes is not None
    assert votes.by_votes is not None
    assert votes.by_majority is not None
    before, own, other = (
        scores.metric("nll").value or 0.0 for scores in (votes.scores, votes.by_votes.scores, votes.by_majority.scores)
    )
    assert own < before + 0.01 < other
    assert all(0.9 < temperature < 1.1 for temperature in votes.by_votes.temperatures)
    assert all(temperature < 0.9 for temperature in votes.by_majority.temperatures)
    # each row is scaled by the temperature that was fitted without its fold
    folds = fold_of(torch.arange(N), OPTIONS.seed)
    assert len(votes.by_votes.temperatures) == FOLDS
    scaled = LOGITS / 1.5 / torch.tensor(votes.by_votes.temperatures)[folds][:, None]
    assert own == pytest.approx(float(metrics.nll(logits=scaled, labels=COUNTS)), abs=1e-6)


def test_one_vote_for_each_row_gives_the_scores_of_the_labels() -> None:
    labels = COUNTS.max(1).indices
    main = evaluate_predictions(logits=LOGITS, labels=one_hot(labels, K), options=OPTIONS).main
    assert main.votes is not None
    for name in ("accuracy", "nll", "brier", "ece"):
        assert main.votes.scores.metric(name) == main.metric(name), name
    assert main.votes.least == {"accuracy": 1, "nll": 0, "brier": 0, "ece": 0}
    assert main.votes.unanimous == N


def test_the_finding_and_the_notes_say_what_the_votes_are() -> None:
    results = evaluate_predictions(logits=LOGITS, labels=COUNTS, options=OPTIONS)
    finding = results.findings[0]
    assert finding.title == "Not calibrated against the votes."
    assert "are the disagreement of the annotators" in finding.sentences[0]
    assert "fitted on the votes: T = " in finding.sentences[1]
    assert "Labels are votes, or distributions over the classes." in results.notes[0]
    assert not any("one label" in note for note in results.notes)


@pytest.mark.parametrize("form", ["npz", "csv"])
def test_votes_in_files_and_their_page(evaluate, form: str) -> None:
    other = LOGITS / 2
    if form == "npz":
        write_arrays("a.npz", {"logits": LOGITS.numpy(), "votes": COUNTS.numpy()})
        write_arrays("b.npz", {"logits": other.numpy()})
    else:
        names = ["cat", "dog", "=eel", "fox"]
        header = [*(f"logits_{name}" for name in names), *(f"votes_{name}" for name in names)]
        rows = torch.cat([LOGITS.double(), COUNTS.double()], 1).tolist()
        write_csv("a.csv", [header, *rows])
        write_csv("b.csv", [header, *torch.cat([other.double(), COUNTS.double()], 1).tolist()])
    said = evaluate(f"a.{form}", labels="votes", against=[f"b.{form}"]) if form == "csv" else None
    if said is not None:
        assert [model["votes"]["rows"] for model in said["models"]] == [N, N]
        assert values(said)["accuracy"] == float(metrics.accuracy(logits=LOGITS, labels=COUNTS.max(1).indices))
        nll = said["models"][1]["votes"]["scores"]["metrics"]["nll"]["value"]
        assert nll == pytest.approx(float(metrics.nll(logits=other, labels=COUNTS)), abs=1e-6)
        return
    results = evaluate_predictions(predictions="a.npz", labels="votes", output="page", options=OPTIONS)
    text = Path("page/index.html").read_text()
    assert '<section id="votes"' in text
    assert "Best possible" in text
    assert json.loads(Path("page/evaluation.json").read_text())["models"][0]["votes"]["by_votes"]["temperatures"]
    with Path("page/votes.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["row", "label", "share", "entropy", "a predicted", "a agreement", "a nll"]
    assert len(rows) == N
    assert results.main.votes is not None
    columns = torch.tensor([[float(cell) for cell in row] for row in rows], dtype=torch.float64)
    assert torch.allclose(columns[:, 3], metrics.label_entropy(COUNTS))
    assert float(columns[:, 5].mean()) == pytest.approx(results.main.votes.scores.metric("accuracy").value)
    assert float(columns[:, 6].mean()) == pytest.approx(results.main.votes.scores.metric("nll").value)
    assert columns[:, 1].tolist() == COUNTS.max(1).indices.tolist()


def test_the_file_of_rows_is_bounded(monkeypatch) -> None:
    monkeypatch.setattr(suite, "MOST_ROWS", 100)
    rows = evaluate_predictions(logits=LOGITS, labels=COUNTS, options=OPTIONS).vote_rows
    assert rows is not None
    assert len(rows.ids) == 100
    assert not rows.complete


def test_a_class_with_votes_and_probability_0_makes_the_nll_infinite_with_a_reason() -> None:
    probs = LOGITS.softmax(1)
    probs[0] = torch.tensor([1.0, 0, 0, 0])
    counts = COUNTS.index_put((torch.tensor([0]),), torch.tensor([2, 1, 0, 0]))
    votes = evaluate_predictions(probs, counts, options=OPTIONS).main.votes
    assert votes is not None
    nll = votes.scores.metric("nll")
    assert nll.value == float("inf")
    assert nll.interval is None
    assert "a class with votes has probability 0" in nll.why
    assert votes.scores.divergence == float("inf")


def test_models_with_other_votes_are_refused(evaluate) -> None:
    write_arrays("a.npz", {"logits": LOGITS.numpy(), "votes": COUNTS.numpy()})
    others = COUNTS.numpy().copy()
    others[5] = 2 * others[5] + np.array([1, 0, 0, 0])
    others[5][COUNTS[5].argmax()] += 9
    write_arrays("b.npz", {"logits": LOGITS.numpy(), "votes": others})
    with pytest.raises(InputError, match=r"against: the votes of the other model in a.npz, row 5; got others in b.npz"):
        evaluate("a.npz", labels="votes", against=["b.npz"])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([0, 0, 0, 0], "labels: at least one vote in every row; got none at row 7; fix that row"),
        ([-1, 2, 2, 0], "labels: votes or probabilities of at least 0; got -1 at row 7, class 0"),
        (
            [0.5, 0.75, 0, 0],
            "labels: whole numbers of votes, or probabilities that sum to 1; got a sum of 1.25 at row 7",
        ),
    ],
)
def test_bad_votes_are_one_sentence_with_the_row(row: list[float], message: str) -> None:
    counts = COUNTS.double()
    counts[7] = torch.tensor(row)
    with pytest.raises(InputError, match=message):
        evaluate_predictions(logits=LOGITS, labels=counts, options=OPTIONS)


def test_one_column_of_a_binary_problem() -> None:
    column, labels = LOGITS[:, 0], (COUNTS[:, 0] > 1).long()
    two = torch.stack([0 * column, column], 1)
    found = evaluate_predictions(logits=column, labels=labels, options=OPTIONS).main
    assert found.metrics == evaluate_predictions(logits=two, labels=labels, options=OPTIONS).main.metrics
    positive = column.sigmoid()
    found = evaluate_predictions(positive, labels, against={"other": positive / 2}, options=OPTIONS)
    assert found.num_classes == 2
    assert len(found.models) == 2
    with pytest.raises(InputError, match=r"labels: .* below 2, the number of classes; got 2"):
        evaluate_predictions(positive, COUNTS.max(1).indices, options=OPTIONS)
