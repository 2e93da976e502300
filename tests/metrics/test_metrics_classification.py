"""Accuracy and NLL: by hand, by the slow loop, and by scikit-learn."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import metrics as reference
from sklearn import metrics as sklearn

from softtargets import metrics

LABELS = torch.tensor([0, 2, 1, 2, 0, 1, 1])


def logits_of(seed: int = 0) -> torch.Tensor:
    return torch.randn(7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 2


def test_by_hand() -> None:
    probs = torch.tensor([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]], dtype=torch.float64)
    assert float(metrics.accuracy(probs, torch.tensor([0, 0]))) == 0.5
    assert float(metrics.accuracy(probs, torch.tensor([1, 2]), top_k=2)) == 0.5  # of two of .25 the lower class counts
    assert float(metrics.nll(probs, torch.tensor([0, 0]))) == pytest.approx(1.5 * math.log(2), abs=1e-12)


def test_agree_with_the_slow_loop_and_scikit_learn() -> None:
    logits = logits_of()
    probs = logits.softmax(-1)
    accuracy, nll = float(metrics.accuracy(logits=logits, labels=LABELS)), float(metrics.nll(probs, LABELS))
    assert accuracy == reference.accuracy(logits.tolist(), LABELS.tolist())
    assert accuracy == sklearn.accuracy_score(LABELS.numpy(), logits.argmax(-1).numpy())
    assert nll == pytest.approx(reference.nll(probs.log().tolist(), LABELS.tolist()), abs=1e-12)
    assert nll == pytest.approx(sklearn.log_loss(LABELS.numpy(), probs.numpy()), abs=1e-12)


@pytest.mark.parametrize("top_k", [1, 2, 3, 5])
def test_top_k_agrees_with_scikit_learn_and_the_slow_loop(top_k: int) -> None:
    generator = torch.Generator().manual_seed(3)
    logits, labels = torch.randn(50, 6, generator=generator), torch.randint(0, 6, (50,), generator=generator)
    made = float(metrics.accuracy(logits=logits, labels=labels, top_k=top_k))
    theirs = sklearn.top_k_accuracy_score(labels.numpy(), logits.numpy(), k=top_k, labels=list(range(6)))
    assert made == pytest.approx(theirs, abs=1e-15)
    assert made == pytest.approx(reference.accuracy(logits.tolist(), labels.tolist(), top_k), abs=1e-15)


@settings(deadline=None, database=None, max_examples=60)
@given(st.integers(1, 12), st.integers(2, 5), st.integers(1, 5), st.integers(0, 2**31))
def test_ties_are_ranked_as_in_the_slow_loop(number: int, num_classes: int, top_k: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(0, 3, (number, num_classes), generator=generator).double()
    probs = (scores + 1) / (scores + 1).sum(1, keepdim=True)
    labels = torch.randint(0, num_classes, (number,), generator=generator)
    top_k = min(top_k, num_classes)
    expected = reference.accuracy(scores.tolist(), labels.tolist(), top_k)
    assert float(metrics.accuracy(logits=scores, labels=labels, top_k=top_k)) == pytest.approx(expected, abs=1e-15)
    assert float(metrics.accuracy(probs, labels, top_k=top_k)) == pytest.approx(expected, abs=1e-15)


def test_ties_go_to_the_lowest_class() -> None:
    flat = torch.full((3, 3), 1 / 3)
    assert float(metrics.accuracy(flat, torch.tensor([0, 1, 2]))) == pytest.approx(1 / 3)
    assert float(metrics.accuracy(flat, torch.tensor([0, 1, 2]), top_k=2)) == pytest.approx(2 / 3)
    half = torch.tensor([[0.5, 0.5, 0.0]], dtype=torch.float16)
    assert [float(metrics.accuracy(half, torch.tensor([k]))) for k in range(3)] == [1, 0, 0]


def test_limits() -> None:
    certain = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert float(metrics.nll(certain, torch.tensor([0, 1]))) == 0
    assert float(metrics.nll(certain, torch.tensor([1, 1]))) == math.inf
    uniform = torch.full((4, 5), 0.2, dtype=torch.float64)
    assert float(metrics.nll(uniform, torch.tensor([0, 1, 2, 3]))) == pytest.approx(math.log(5), abs=1e-12)
    assert float(metrics.accuracy(uniform, torch.tensor([0, 1, 2, 4]), top_k=5)) == 1


def test_logits_are_exact_where_probabilities_underflow() -> None:
    logits, labels = torch.tensor([[0.0, -1000.0], [3e4, 0.0]]), torch.tensor([1, 1])
    assert float(metrics.nll(logits=logits, labels=labels)) == pytest.approx(15500)
    assert float(metrics.nll(logits.softmax(-1), labels)) == math.inf
    # far beyond what 64 bits of 2^-40 hold, in both directions
    assert float(metrics.nll(logits=torch.tensor([[1e8, 0.0]]), labels=torch.tensor([1]))) == 1e8
    assert float(metrics.nll(logits=torch.tensor([[3e38, -3e38]]), labels=torch.tensor([1]))) == math.inf
    assert float(metrics.nll(logits=torch.tensor([[0.0, -torch.inf]]), labels=torch.tensor([0]))) == 0


def test_labels_of_probability_0_are_counted_separately() -> None:
    metric = metrics.NLL().update(torch.tensor([[1.0, 0.0]]), torch.tensor([1]))
    metric.update(torch.tensor([[0.5, 0.5]]), torch.tensor([1]))
    assert int(metric.state_dict()["infinite"]) == 1
    assert float(metric.compute()) == math.inf


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_only_the_precision_of_the_input_limits_the_result(dtype: torch.dtype) -> None:
    logits = logits_of().to(dtype)
    value = metrics.nll(logits=logits, labels=LABELS)
    assert value.dtype == torch.float64
    expected = reference.nll(logits.double().log_softmax(-1).tolist(), LABELS.tolist())
    assert float(value) == pytest.approx(expected, abs=1e-12)


def test_logits_that_require_a_gradient_give_no_warning() -> None:
    logits = logits_of().requires_grad_()
    assert not metrics.nll(logits=logits, labels=LABELS).requires_grad


def test_masked_tokens_do_not_count_whatever_they_contain() -> None:
    logits = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(5))
    labels = torch.tensor([[0, 1, -100, -100], [2, -100, 1, 0]])
    mask = labels != -100
    logits[~mask] = torch.nan
    for metric in (metrics.accuracy, metrics.nll, metrics.brier, metrics.ece):
        kept = metric(logits=logits[mask], labels=labels[mask])
        assert float(metric(logits=logits, labels=labels, mask=mask)) == float(kept)
        with pytest.raises(
            ValueError, match=r"got -100 at index \(0, 2\); fix it, or leave that example out by a label of -1"
        ):
            metric(logits=logits, labels=labels, ignore_index=-1)
        assert float(metric(logits=logits, labels=labels)) == float(kept)
        with pytest.raises(ValueError, match="at least one example that is not left out; got none"):
            metric(logits=logits, labels=labels * 0 - 100)
        with pytest.raises(ValueError, match="at least one example that is not left out; got none"):
            metric(logits=logits, labels=labels, mask=torch.zeros_like(mask))


@pytest.mark.parametrize(
    ("top_k", "message"),
    [
        (0, "top_k: at least 1; got 0; 1 and 5 are usual"),
        (1.5, "top_k: an int of at least 1; got 1.5"),
        (3, "top_k: at most 2, the number of classes; got 3; choose a smaller top_k"),
    ],
)
def test_errors_of_top_k(top_k, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        metrics.accuracy(torch.full((2, 2), 0.5), torch.tensor([0, 1]), top_k=top_k)


@pytest.mark.parametrize(
    "metric",
    [
        metrics.accuracy,
        metrics.nll,
        metrics.brier,
        metrics.brier_decomposition,
        metrics.ece,
        metrics.reliability_bins,
        lambda *rows: metrics.reliability_bins(*rows, binning="mass"),
    ],
)
def test_errors(metric) -> None:
    good = torch.full((2, 2), 0.5)
    with pytest.raises(ValueError, match=r"labels: .*below 2.*; got 2 at row 1; fix it, or leave that example out by"):
        metric(good, torch.tensor([0, 2]))
    with pytest.raises(ValueError, match=r"labels: shape \(2,\); got \(1,\); give one per row"):
        metric(good, torch.tensor([0]))
    with pytest.raises(ValueError, match=r"probs: shape \(..., K\) with K >= 2; got \(2, 2, 1\)"):
        metric(good[..., None], torch.tensor([[0, 1], [1, 0]]))
    with pytest.raises(
        ValueError, match=r"at least one example that is not left out; got none; add examples, or check the labels"
    ):
        metric(torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64))
    with pytest.raises(TypeError, match=r"labels: integer labels .*; got dtype torch.float32"):
        metric(good, torch.tensor([0.0, 1.0]))
