"""Metrics from every row instead of a sketch, the floored NLL, and the confusion matrix."""

import csv
import math

import numpy as np
import pytest
import torch

from softtargets import metrics
from softtargets.evaluate import EvaluationOptions, evaluate_predictions, exact
from softtargets.evaluate.confusion import ConfusionTable
from softtargets.evaluate.counts import FLOOR
from softtargets.evaluate.results import EvaluationResults

SKETCHED = ("ece_mass", "aurc", "excess_aurc", "misclassification_auroc", "coverage_at_1", "coverage_at_5")


def simulate(rows: int = 600, classes: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(rows, classes, generator=generator).double()
    labels = torch.multinomial((0.7 * logits).softmax(1), 1, generator=generator)[:, 0]
    return logits.softmax(1), labels


def value(results: EvaluationResults, name: str) -> float:
    metric = results.main.metric(name)
    assert metric is not None
    assert metric.value is not None
    return metric.value


def test_sketched_metrics_are_exact_for_rows_that_fit_in_memory():
    probs, labels = simulate()
    # confidences that a sketch takes for one
    probs[:50] = torch.tensor([1 - 4e-12, 1e-12, 1e-12, 1e-12, 1e-12], dtype=torch.float64)
    probs[:50, 0] += 1e-13 * torch.arange(50)
    probs[:50, 1] -= 1e-13 * torch.arange(50) / 10
    probs = probs / probs.sum(1, keepdim=True)
    results = evaluate_predictions(probs, labels, options=EvaluationOptions(n_draws=20))
    expected = {
        "ece_mass": metrics.ece(probs, labels, n_bins=15, binning="mass"),
        "aurc": metrics.aurc(probs, labels),
        "excess_aurc": metrics.excess_aurc(probs, labels),
        "misclassification_auroc": metrics.misclassification_auroc(probs, labels),
        "coverage_at_1": metrics.coverage_at_risk(probs, labels, risk=0.01),
        "coverage_at_5": metrics.coverage_at_risk(probs, labels, risk=0.05),
    }
    for name in SKETCHED:
        metric = results.main.metric(name)
        assert metric is not None
        assert metric.value == pytest.approx(float(expected[name]), abs=1e-12), name
        assert metric.bound == 0
    temperature = results.main.temperature
    assert temperature is not None
    after = temperature.metric("aurc")
    assert after is not None
    assert after.bound == 0


def test_too_many_rows_are_sketched_with_a_bound(monkeypatch):
    probs, labels = simulate()
    monkeypatch.setattr(exact, "MOST_ROWS", 100)
    results = evaluate_predictions(probs, labels, options=EvaluationOptions(n_draws=20))
    for name, function in {"aurc": metrics.aurc, "misclassification_auroc": metrics.misclassification_auroc}.items():
        metric = results.main.metric(name)
        assert metric is not None
        assert metric.value is not None
        assert metric.bound > 0
        assert abs(metric.value - float(function(probs, labels))) <= metric.bound


def test_a_forest_that_gives_a_label_no_vote_has_a_finite_floored_nll():
    probs = torch.tensor([[0.5, 0.5], [1.0, 0.0], [0.2, 0.8]] * 20, dtype=torch.float64)
    labels = torch.tensor([0, 1, 1] * 20)
    results = evaluate_predictions(probs, labels, options=EvaluationOptions(n_draws=20))
    assert math.isinf(value(results, "nll"))
    by_hand = -(math.log(0.5) + math.log(FLOOR) + math.log(0.8)) / 3
    assert value(results, "nll_floored") == pytest.approx(by_hand)
    assert "Random forests" in results.main.notes[0]
    probs = 0.9 * probs + 0.05
    assert evaluate_predictions(probs, labels).main.metric("nll_floored") is None


def test_confusions_are_counted_and_written(tmp_path):
    probs, labels = simulate(300, 3)
    names = ("cat", "dog", "=owl")
    options = EvaluationOptions(n_draws=20, class_names=names)
    results = evaluate_predictions(probs, labels, output=tmp_path / "page", options=options)
    table = results.main.confusion
    assert table is not None
    expected = np.zeros((3, 3), dtype=int)
    np.add.at(expected, (labels.numpy(), probs.argmax(1).numpy()), 1)
    assert np.array(table.counts).tolist() == expected.tolist()
    with (tmp_path / "page" / "confusion.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert sum(int(line["rows"]) for line in lines) == 300
    assert {line["label_name"] for line in lines} == {"cat", "dog", "'=owl"}
    top = table.top[0]
    assert top.count == (expected - np.diag(expected.diagonal())).max()
    assert top.share == pytest.approx(top.count / expected[top.label].sum())
    page = (tmp_path / "page" / "index.html").read_text()
    assert "The most frequent confusions" in page
    assert "Confusion matrix" in page


def test_confusions_are_sorted_by_number_then_class():
    table = ConfusionTable(((5, 2, 0), (3, 0, 2), (0, 0, 7)))
    assert [(pair.label, pair.predicted, pair.count) for pair in table.pairs()] == [(1, 0, 3), (0, 1, 2), (1, 2, 2)]
    assert table.pairs()[0].share == pytest.approx(3 / 5)
