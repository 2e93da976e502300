"""find_label_issues: what it flags on data of known noise, the number it expects, and what it refuses."""

import json
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from benchmarks.simulated import asymmetric, known, seeded
from softtargets import noise
from softtargets.noise import LabelIssues


def shares(found: LabelIssues, wrong: Tensor) -> tuple[float, float]:
    """Precision and recall."""
    hits = int(wrong[found.is_issue].sum())
    return hits / max(len(found), 1), hits / max(int(wrong.sum()), 1)


@cache
def digits(rate: float, pixels: int = 64) -> tuple[Tensor, Tensor, Tensor]:
    """Noisy labels, out-of-sample probabilities by logistic regression, and which labels are wrong."""
    inputs, clean = load_digits(return_X_y=True)
    inputs = inputs[:, np.random.default_rng(0).permutation(64)[:pixels]]
    made = noise.corrupt(torch.tensor(clean), noise.symmetric(rate, 10), generator=seeded(0))
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.05, max_iter=200))
    probs = cross_val_predict(model, inputs, made.noisy_labels.numpy(), cv=5, method="predict_proba")
    return made.noisy_labels, torch.tensor(probs), made.flipped


@pytest.mark.parametrize("rate", [0.1, 0.2, 0.4])
def test_classes_that_are_apart_are_found_nearly_all(rate: float) -> None:
    data = known(3000, noise.symmetric(rate, 10).to_dense(), distance=5)
    wrong = data.labels != data.clean
    found = noise.find_label_issues(data.labels, data.probs)
    precision, recall = shares(found, wrong)
    assert precision > 0.99
    assert recall > 0.92
    assert found.expected_wrong == pytest.approx(int(wrong.sum()), rel=0.08)
    assert found.expected_wrong_low <= int(wrong.sum()) <= found.expected_wrong_high
    assert torch.equal(found.suggested_labels[found.is_issue & wrong], data.clean[found.is_issue & wrong])


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.2])
def test_trap_45_a_weak_model_is_not_believed(rate: float) -> None:
    """Two thirds of the examples can be told: the confident joint takes the rest for noise."""
    data = known(3000, noise.symmetric(rate, 10).to_dense(), distance=2)
    wrong = data.labels != data.clean
    found = noise.find_label_issues(data.labels, data.probs)
    assert found.agreement < 0.68
    assert noise.confident_joint(data.probs, data.labels).noise_rate > rate + 0.17
    assert found.noise_rate < rate + 0.05
    assert found.expected_wrong_low <= int(wrong.sum()) <= found.expected_wrong_high
    assert len(found) == round(found.noise_rate * 3000)


def test_digits_with_a_fifth_of_the_labels_wrong() -> None:
    labels, probs, wrong = digits(0.2)
    found = noise.find_label_issues(labels, probs)
    precision, recall = shares(found, wrong)
    assert precision > 0.8
    assert recall > 0.95
    assert found.expected_wrong_low <= int(wrong.sum()) <= found.expected_wrong_high
    assert found.expected_wrong == pytest.approx(int(wrong.sum()), rel=0.2)
    # the worst are nearly all wrong
    assert float(wrong[found.indices[:100]].double().mean()) > 0.95
    # the probabilities that labels are wrong add up to about the number that are
    assert float(found.wrong_probability[found.is_issue].mean()) == pytest.approx(precision, abs=0.15)


def test_clean_digits_have_few_issues() -> None:
    labels, probs, _ = digits(0.0)
    found = noise.find_label_issues(labels, probs)
    assert len(found) < 20
    assert found.expected_wrong_low == 0


def test_predictions_that_agree_with_few_labels_say_so_and_bound_nothing_from_below() -> None:
    labels, probs, _ = digits(0.2, 8)
    found = noise.find_label_issues(labels, probs)
    assert found.expected_wrong_low == 0
    assert f"predictions agree with {found.agreement:.1%}: many of them may be errors" in repr(found)


@pytest.mark.parametrize("score", ["self_confidence", "normalized_margin", "label_posterior"])
def test_flagged_labels_have_the_lowest_scores_among_those_not_predicted(score: str) -> None:
    data = known(1000, asymmetric(), distance=3)
    found = noise.find_label_issues(data.labels, data.probs, score=score)
    differs = data.probs.argmax(1) != data.labels
    assert bool(differs[found.is_issue].all())
    others = differs & ~found.is_issue
    assert float(found.scores[found.is_issue].max()) <= float(found.scores[others].min())
    assert found.indices.tolist() == noise.suspect_order(found.scores, mask=found.is_issue).tolist()
    assert torch.equal(found.suggested_labels[~found.is_issue], data.labels[~found.is_issue])
    assert torch.equal(found.suggested_labels[found.is_issue], data.probs.argmax(1)[found.is_issue])


def test_the_posterior_ranks_best_where_classes_are_confused_in_pairs() -> None:
    data = known(3000, asymmetric(), distance=3)
    wrong = data.labels != data.clean
    precision = {
        score: shares(noise.find_label_issues(data.labels, data.probs, score=score, method=data_transition), wrong)[0]
        for score in ("self_confidence", "label_posterior")
        for data_transition in [noise.Transition.wrap(data.transition)]
    }
    assert precision["label_posterior"] > precision["self_confidence"]


def test_a_known_transition_is_used_as_it_is() -> None:
    data = known(2000, asymmetric(), distance=2)
    found = noise.find_label_issues(data.labels, data.probs, method=noise.Transition.wrap(data.transition))
    assert found.noise_rate == pytest.approx(0.2, abs=0.02)
    assert torch.equal(found.transition.to_dense(), data.transition)
    assert len(noise.find_label_issues(data.labels, data.probs, method=noise.symmetric(0.0, 10))) == 0


@pytest.mark.parametrize("method", ["confident_joint", "anchor_counts", "dual_t", "anchor", "anchor_97"])
def test_the_rate_is_at_most_that_of_the_method_and_of_the_anchor_counts(method: str) -> None:
    data = known(2000, noise.symmetric(0.2, 10).to_dense(), distance=2)
    found = noise.find_label_issues(data.labels, data.probs, method=method)
    assert found.noise_rate == pytest.approx(0.2, abs=0.05)
    assert found.expected_wrong == pytest.approx(found.noise_rate * 2000, abs=1)


def test_limits_one_hot_probabilities_of_the_labels_flag_nothing() -> None:
    labels = torch.arange(60) % 3
    found = noise.find_label_issues(labels, torch.eye(3)[labels])
    assert len(found) == 0
    assert found.indices.dtype == torch.int64
    assert not bool(found.is_issue.any())
    assert bool(found), "a result is true though it has no issue"
    assert found.agreement == 1


def same(one: LabelIssues, other: LabelIssues) -> None:
    for name, value in one.to_dict().items():
        expected = other.to_dict()[name]
        if isinstance(value, list):
            np.testing.assert_allclose(value, expected, atol=1e-6)
        else:
            assert value == pytest.approx(expected, abs=1e-6), name


def test_arrays_in_and_out() -> None:
    data = known(500, asymmetric(), distance=3)
    found = noise.find_label_issues(data.labels.numpy(), data.probs.numpy())
    for value in (found.indices, found.scores, found.is_issue, found.suggested_labels, found.wrong_probability):
        assert isinstance(value, np.ndarray)
    same(found, noise.find_label_issues(data.labels, data.probs))


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int16, torch.int32])
def test_narrow_labels(dtype: torch.dtype) -> None:
    data = known(500, asymmetric(), distance=3)
    found = noise.find_label_issues(data.labels.to(dtype), data.probs)
    assert found.suggested_labels.dtype == torch.int64
    same(found, noise.find_label_issues(data.labels, data.probs))


def test_left_out_examples() -> None:
    data = known(500, asymmetric(), distance=3)
    expected = noise.find_label_issues(data.labels, data.probs)
    labels = torch.cat([torch.tensor([-100, 99]), data.labels])
    probs = torch.cat([torch.full((2, 10), torch.nan, dtype=torch.float64), data.probs])
    mask = torch.arange(502) != 1
    found = noise.find_label_issues(labels, probs, mask=mask)
    assert found.indices.tolist() == (expected.indices + 2).tolist()
    assert found.scores.isnan().tolist() == [True, True] + [False] * 500
    assert found.suggested_labels[:2].tolist() == [-100, 99]
    assert found.expected_wrong == expected.expected_wrong


def test_labels_of_images() -> None:
    data = known(600, asymmetric(), distance=3)
    expected = noise.find_label_issues(data.labels, data.probs)
    probs = data.probs.view(6, 10, 10, 10).movedim(-1, 1)
    found = noise.find_label_issues(data.labels.view(6, 10, 10), probs, class_dim=1)
    assert found.is_issue.shape == (6, 10, 10)
    assert found.indices.tolist() == expected.indices.tolist()
    assert torch.equal(found.is_issue.flatten(), expected.is_issue)


def test_the_text_and_the_dict() -> None:
    data = known(500, asymmetric(), distance=3)
    found = noise.find_label_issues(data.labels, data.probs)
    text = repr(found)
    assert text.startswith(f"LabelIssues({len(found)} of 500 labels flagged, expected wrong ")
    assert len(text) < 170
    assert set(json.loads(json.dumps(found.to_dict()))) == set(vars(found))


PROBS = torch.tensor([[0.9, 0.1], [0.2, 0.8]])
LABELS = torch.tensor([0, 1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: noise.find_label_issues(PROBS, LABELS), r"probs: a floating-point tensor; .*; swap probs and labels"),
        (lambda: noise.find_label_issues(LABELS, PROBS.log()), r"probs: probabilities.*pass logits.softmax"),
        (
            lambda: noise.find_label_issues(LABELS[:, None], PROBS),
            r"labels: shape \(2,\); .*; use labels.squeeze\(-1\)",
        ),
        (lambda: noise.find_label_issues(LABELS, PROBS, method="cl"), "method: one of "),
        (
            lambda: noise.find_label_issues(LABELS, PROBS, method="trusted"),
            "method: .*needs clean labels; pass method=",
        ),
        (lambda: noise.find_label_issues(LABELS, PROBS, method=noise.symmetric(0.1, 3)), "method: .* 2 classes.*got 3"),
        (lambda: noise.find_label_issues(LABELS, PROBS, score="confidence"), "score: .*mean 'self_confidence'"),
        (lambda: noise.find_label_issues(LABELS, PROBS, confidence=1.0), "confidence: "),
        (lambda: noise.find_label_issues([0, 1], PROBS), "labels: .*got list; use torch.as_tensor"),  # pyright: ignore
        (lambda: noise.find_label_issues(LABELS[:0], PROBS[:0]), "probs: at least one example that is not left out"),
        (lambda: noise.find_label_issues(LABELS - 100, PROBS), "labels: .*got -99 at row 1"),
    ],
)
def test_errors(call: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=f"^{message}"):
        call()
