"""Accuracy and NLL: by hand, by the slow loop, and by scikit-learn."""

import math

import pytest
import torch
from reference import metrics as reference
from sklearn import metrics as sklearn

from softtargets import metrics

LABELS = torch.tensor([0, 2, 1, 2, 0, 1, 1])


def logits_of(seed: int = 0) -> torch.Tensor:
    return torch.randn(7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 2


def test_by_hand() -> None:
    probs = torch.tensor([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]], dtype=torch.float64)
    assert float(metrics.accuracy(probs, torch.tensor([0, 0]))) == 0.5
    assert float(metrics.nll(probs.log(), torch.tensor([0, 0]))) == pytest.approx(1.5 * math.log(2), abs=1e-15)


def test_agree_with_the_slow_loop_and_scikit_learn() -> None:
    logits = logits_of()
    log_probs = logits.log_softmax(-1)
    accuracy, nll = float(metrics.accuracy(logits, LABELS)), float(metrics.nll(log_probs, LABELS))
    assert accuracy == reference.accuracy(logits.tolist(), LABELS.tolist())
    assert accuracy == sklearn.accuracy_score(LABELS.numpy(), logits.argmax(-1).numpy())
    assert nll == pytest.approx(reference.nll(log_probs.tolist(), LABELS.tolist()), abs=1e-12)
    assert nll == pytest.approx(sklearn.log_loss(LABELS.numpy(), logits.softmax(-1).numpy()), abs=1e-12)


def test_accuracy_takes_logits_probabilities_and_their_logarithms_alike() -> None:
    logits = logits_of()
    expected = metrics.accuracy(logits, LABELS)
    assert metrics.accuracy(logits.softmax(-1), LABELS) == metrics.accuracy(logits.log_softmax(-1), LABELS) == expected


def test_ties_go_to_the_lowest_class() -> None:
    flat = torch.full((2, 3), 1 / 3)
    assert float(metrics.accuracy(flat, torch.tensor([0, 1]))) == 0.5


def test_limits() -> None:
    certain = torch.tensor([[0.0, -torch.inf], [-torch.inf, 0.0]])
    assert float(metrics.nll(certain, torch.tensor([0, 1]))) == 0
    assert float(metrics.nll(certain, torch.tensor([1, 1]))) == math.inf
    uniform = torch.zeros(4, 5).log_softmax(-1)
    assert float(metrics.nll(uniform, torch.tensor([0, 1, 2, 3]))) == pytest.approx(math.log(5), abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_precision_of_what_is_given_is_the_only_loss(dtype: torch.dtype) -> None:
    log_probs = logits_of().to(dtype).log_softmax(-1)
    value = metrics.nll(log_probs, LABELS)
    assert value.dtype == torch.float64
    assert float(value) == pytest.approx(reference.nll(log_probs.double().tolist(), LABELS.tolist()), abs=1e-12)


def test_nothing_is_said_where_a_gradient_is_required() -> None:
    logits = logits_of().requires_grad_()
    assert float(metrics.nll(logits.log_softmax(-1), LABELS).detach()) > 0


def test_trap_29_logits_are_not_taken_for_log_probabilities() -> None:
    for logits in (logits_of(), logits_of() - 20):  # none of the latter is positive
        with pytest.raises(
            ValueError, match=r"log_probs: logarithms of .*; got a sum of .* at row 0; take logits.log_"
        ):
            metrics.nll(logits, LABELS)
    with pytest.raises(ValueError, match=r"log_probs: .*got a sum of"):
        metrics.nll(logits_of().softmax(-1), LABELS)
    with pytest.raises(ValueError, match="got a sum of nan at row 2"):
        metrics.nll(logits_of().log_softmax(-1).index_fill(0, torch.tensor([2]), torch.nan), LABELS)


@pytest.mark.parametrize("metric", [metrics.accuracy, metrics.nll, metrics.ece, metrics.reliability_bins])
def test_errors(metric) -> None:
    good = torch.full((2, 2), 0.5)
    with pytest.raises(ValueError, match=r"labels: .*below 2.*; got 2 at row 1; mend or drop that example"):
        metric(good, torch.tensor([0, 2]))
    with pytest.raises(ValueError, match=r"labels: shape \(2,\); got \(1,\); give one label per row"):
        metric(good, torch.tensor([0]))
    with pytest.raises(ValueError, match=r"(scores|probs|log_probs): shape \(N, K\) with K >= 2; got \(2,\)"):
        metric(good[0], torch.tensor([0, 1]))
    with pytest.raises(ValueError, match=r"(scores|probs|log_probs): at least one row; got 0; a metric of nothing"):
        metric(torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64))
    with pytest.raises(TypeError, match=r"(scores|probs|log_probs): a floating-point tensor; got dtype torch.int64"):
        metric(torch.eye(2).long(), torch.tensor([0, 1]))
    with pytest.raises(TypeError, match=r"labels: an int64 tensor of labels; got dtype torch.float32"):
        metric(good, torch.tensor([0.0, 1.0]))
