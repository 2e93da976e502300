"""The Brier score and its parts: by hand, by the slow loops, and by scikit-learn."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import metrics as reference
from sklearn import metrics as sklearn

from softtargets import metrics


def predictions(number: int, num_classes: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    probs = torch.randn(number, num_classes, dtype=torch.float64, generator=generator).mul(2).softmax(-1)
    return probs, torch.randint(0, num_classes, (number,), generator=generator)


def parts_of(parts: metrics.BrierParts) -> list[float]:
    return [float(part) for part in (parts.reliability, parts.resolution, parts.uncertainty, parts.within_bin)]


def test_by_hand() -> None:
    probs = torch.tensor([[0.5, 0.25, 0.25], [0.0, 0.0, 1.0]])
    assert float(metrics.brier(probs, torch.tensor([0, 1]))) == ((0.25 + 2 / 16) + 2) / 2


def test_parts_by_hand() -> None:
    # class 0 of two bins: .25 and .25 (one of two occurs), .75 and 1 (both occur); class 1 mirrors it
    column = torch.tensor([0.25, 0.25, 0.75, 1.0], dtype=torch.float64)
    made = metrics.brier_decomposition(torch.stack([column, 1 - column], 1), torch.tensor([0, 1, 0, 0]), n_bins=2)
    reliability = (0.5 * (0.25 - 0.5) ** 2 + 0.5 * (0.875 - 1) ** 2) * 2
    resolution = (0.5 * (0.5 - 0.75) ** 2 + 0.5 * (1 - 0.75) ** 2) * 2
    within = (2 * 0.125**2 / 4) * 2  # the outcomes of that bin are all alike: no covariance
    assert parts_of(made) == [reliability, resolution, 0.1875 * 2, within]
    assert float(made.brier) == 2 * (0.75**2 + 0.25**2 + 0.25**2) / 4


@settings(deadline=None, database=None, max_examples=60)
@given(st.integers(1, 40), st.integers(2, 5), st.sampled_from([1, 2, 15, 100]), st.integers(0, 2**31))
def test_agree_with_the_slow_loops_and_the_parts_sum_to_the_score(
    number: int, num_classes: int, bins: int, seed: int
) -> None:
    probs, labels = predictions(number, num_classes, seed)
    made = metrics.brier_decomposition(probs, labels, n_bins=bins)
    expected = reference.brier_parts(probs.tolist(), labels.tolist(), bins)
    assert parts_of(made) == pytest.approx(expected, abs=1e-11)
    score = float(metrics.brier(probs, labels))
    assert score == pytest.approx(reference.brier(probs.tolist(), labels.tolist()), abs=1e-12)
    assert float(made.brier) == pytest.approx(score, abs=1e-11)


def test_scikit_learn_is_a_second_witness() -> None:
    probs, labels = predictions(200, 4, 1)
    theirs = sklearn.brier_score_loss(labels.numpy(), probs.numpy(), labels=[0, 1, 2, 3])
    assert float(metrics.brier(probs, labels)) == pytest.approx(theirs, abs=1e-12)


def test_of_two_classes_scikit_learn_counts_one() -> None:
    probs, labels = predictions(50, 2, 2)
    theirs = sklearn.brier_score_loss(labels.numpy(), probs[:, 1].numpy())
    assert float(metrics.brier(probs, labels)) == pytest.approx(2 * theirs, abs=1e-12)


def test_logits_are_softmaxed() -> None:
    logits, labels = torch.randn(30, 5, generator=torch.Generator().manual_seed(0)), torch.arange(30) % 5
    expected = metrics.brier(logits.double().softmax(-1), labels)
    assert float(metrics.brier(logits=logits, labels=labels)) == pytest.approx(float(expected), abs=1e-12)


def test_rows_that_rounding_made_too_large_stay_in_the_range_and_the_parts_sum_to_the_score() -> None:
    probs, labels = torch.tensor([[1.0009, 0.0], [0.0, 1.0]]), torch.tensor([1, 0])
    assert float(metrics.brier(probs, labels)) == 2
    assert float(metrics.brier_decomposition(probs, labels).brier) == pytest.approx(2, abs=1e-11)


def test_limits() -> None:
    certain = torch.eye(3)
    assert float(metrics.brier(certain, torch.tensor([0, 1, 2]))) == 0
    assert float(metrics.brier(certain, torch.tensor([1, 2, 0]))) == 2
    assert float(metrics.brier(torch.full((2, 4), 0.25), torch.tensor([0, 3]))) == 0.75
    probs, labels = torch.full((6, 2), 0.5), torch.tensor([0, 0, 0, 0, 1, 1])
    assert float(metrics.brier_decomposition(probs, labels).resolution) == 0
    middles = torch.tensor([[0.25, 0.75], [0.25, 0.75], [0.75, 0.25]])
    assert float(metrics.brier_decomposition(middles, torch.tensor([0, 1, 0]), n_bins=2).within_bin) == 0


def test_errors() -> None:
    with pytest.raises(ValueError, match="bins: at least 1; got 0"):
        metrics.brier_decomposition(torch.full((2, 2), 0.5), torch.tensor([0, 1]), n_bins=0)
