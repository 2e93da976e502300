"""Calibration error: hand numbers at the edges, the slow loop over bins, and scikit-learn."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import metrics as reference
from sklearn.calibration import calibration_curve

from softtargets import metrics

NORMS = [1, 2, "max"]


def binary(confidences: list[float]) -> torch.Tensor:
    """Rows that predict class 0 with the given confidence."""
    column = torch.tensor(confidences, dtype=torch.float64)
    return torch.stack([column, 1 - column], -1)


def predictions(number: int, num_classes: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    probs = torch.randn(number, num_classes, dtype=torch.float64, generator=generator).mul(2).softmax(-1)
    return probs, torch.randint(0, num_classes, (number,), generator=generator)


def test_by_hand() -> None:
    # two bins: (0, .5] holds .5 (right); (.5, 1] holds .7 (wrong), .8 (right), .9 (right)
    probs, labels = binary([0.5, 0.7, 0.8, 0.9]), torch.tensor([0, 1, 0, 0])
    table = metrics.reliability_bins(probs, labels, bins=2)
    assert isinstance(table, metrics.Bins)
    assert table.edges.tolist() == [0, 0.5, 1]
    assert table.count.tolist() == [1, 3]
    assert table.correct.tolist() == [1, 2]
    assert table.confidence.tolist() == pytest.approx([0.5, 2.4])
    low, high = 0.5, 0.8 - 2 / 3
    assert float(metrics.ece(probs, labels, bins=2)) == pytest.approx(low / 4 + high * 3 / 4)
    assert float(metrics.ece(probs, labels, bins=2, norm=2)) == pytest.approx((low**2 / 4 + high**2 * 3 / 4) ** 0.5)
    assert float(metrics.ece(probs, labels, bins=2, norm="max")) == pytest.approx(low)
    assert float(metrics.ece(probs, labels, bins=1)) == pytest.approx(abs(2.9 - 3) / 4)


def test_trap_26_a_confidence_of_exactly_1_is_in_the_last_bin() -> None:
    probs = torch.tensor([[1.0, 0.0], [0.05, 0.95]], dtype=torch.float64)
    labels = torch.tensor([1, 1])  # wrong, right
    assert float(metrics.ece(probs, labels, bins=10)) == pytest.approx(0.475, abs=1e-15)  # .525 in a bin of its own
    assert metrics.reliability_bins(probs, labels, bins=10).count.tolist() == [0] * 9 + [2]


def test_trap_26_edges_belong_to_the_bin_below_and_nothing_is_lost() -> None:
    confidences = [0.5, 0.75, 1.0, 0.625]  # exact in binary
    table = metrics.reliability_bins(binary(confidences), torch.zeros(4, dtype=torch.int64), bins=8)
    assert table.count.tolist() == [0, 0, 0, 1, 1, 1, 0, 1]
    for bins in (1, 2, 15, 100):
        assert int(metrics.reliability_bins(binary(confidences), torch.zeros(4).long(), bins=bins).count.sum()) == 4
    # all of 16 classes alike: the confidence is 1/16, on the edge of the first of 16 bins
    flat = torch.full((3, 16), 1 / 16)
    assert metrics.reliability_bins(flat, torch.tensor([0, 1, 2]), bins=16).count.tolist() == [3] + [0] * 15


def test_a_softmax_that_rounds_above_1_is_in_the_last_bin() -> None:
    probs = torch.tensor([[1.0 + 1e-7, 0.0]])
    assert metrics.reliability_bins(probs, torch.tensor([0]), bins=3).count.tolist() == [0, 0, 1]
    assert float(metrics.ece(probs, torch.tensor([0]))) == 0


@settings(deadline=None, database=None, max_examples=60)
@given(st.integers(1, 40), st.integers(2, 5), st.sampled_from([1, 2, 3, 15, 100]), st.integers(0, 2**31))
def test_equal_widths_agree_with_the_slow_loop(number: int, num_classes: int, bins: int, seed: int) -> None:
    probs, labels = predictions(number, num_classes, seed)
    slow = reference.width_bins(probs.tolist(), labels.tolist(), bins)
    table = metrics.reliability_bins(probs, labels, bins=bins)
    assert table.count.tolist() == [len(members) for members in slow]
    assert table.correct.tolist() == [sum(right for _, right in members) for members in slow]
    assert table.confidence.tolist() == pytest.approx([sum(c for c, _ in members) for members in slow], abs=1e-12)
    for norm in NORMS:
        made: Any = metrics.ece(probs, labels, bins=bins, norm=norm)
        assert float(made) == pytest.approx(reference.calibration_error(slow, norm), abs=1e-12)


@settings(deadline=None, database=None, max_examples=60)
@given(st.integers(1, 60), st.sampled_from([1, 2, 7, 15, 100]), st.integers(0, 2**31))
def test_equal_masses_agree_with_the_slow_loop(number: int, bins: int, seed: int) -> None:
    probs, labels = predictions(number, 3, seed)
    slow = reference.mass_bins(probs.tolist(), labels.tolist(), bins)
    for norm in NORMS:
        made: Any = metrics.ece(probs, labels, bins=bins, norm=norm, binning="mass")
        assert float(made) == pytest.approx(reference.calibration_error(slow, norm), abs=1e-12)


@pytest.mark.parametrize("number", [50, 100, 99, 101])
def test_equal_masses_differ_by_one_at_most(number: int) -> None:
    probs = binary(torch.linspace(0.51, 0.99, number, dtype=torch.float64).tolist())
    for bins in (7, 15, 50):
        count = metrics.reliability_bins(probs, torch.zeros(number).long(), bins=bins, binning="mass").count
        assert int(count.max() - count.min()) <= 1


def test_equal_masses_keep_ties_together() -> None:
    probs = binary([0.6] * 5 + [0.9])
    table = metrics.reliability_bins(probs, torch.zeros(6, dtype=torch.int64), bins=3, binning="mass")
    assert sorted(table.count.tolist()) == [0, 1, 5]
    assert float(metrics.ece(probs, torch.tensor([0, 0, 0, 1, 1, 0]), bins=3, binning="mass")) == pytest.approx(0.1 / 6)


@pytest.mark.parametrize("binning", ["width", "mass"])
def test_the_sums_are_sums_over_the_data(binning: str) -> None:
    probs, labels = predictions(200, 4, 0)
    table = metrics.reliability_bins(probs, labels, bins=15, binning=binning)
    confidence, predicted = probs.max(1)
    assert int(table.count.sum()) == 200
    assert int(table.correct.sum()) == int((predicted == labels).sum())
    assert float(table.confidence.sum()) == pytest.approx(float(confidence.sum()), abs=1e-12)
    assert bool((table.edges.diff() >= 0).all())
    inside = table.count > 0
    means = table.confidence[inside] / table.count[inside]
    assert bool(((means > table.edges[:-1][inside]) & (means <= table.edges[1:][inside] + 1e-12)).all())


def test_scikit_learn_is_a_second_witness() -> None:
    probs, labels = predictions(500, 3, 1)
    confidence, predicted = (values.numpy() for values in probs.max(1))
    right = (predicted == labels.numpy()).astype(int)
    true, mean = calibration_curve(right, confidence, n_bins=15)
    count = np.histogram(confidence, bins=15, range=(0, 1))[0]
    expected = (count[count > 0] / 500 * np.abs(true - mean)).sum()
    assert float(metrics.ece(probs, labels)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("binning", ["width", "mass"])
@pytest.mark.parametrize("norm", NORMS)
def test_limits_certain_and_always_right_is_0_always_wrong_is_1(norm: Any, binning: str) -> None:
    certain = torch.eye(3)[[0, 1, 2, 0]]
    assert float(metrics.ece(certain, torch.tensor([0, 1, 2, 0]), norm=norm, binning=binning)) == 0
    assert float(metrics.ece(certain, torch.tensor([1, 2, 0, 1]), norm=norm, binning=binning)) == 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("num_classes", [2, 10, 1000])
def test_half_precision_probabilities_are_probabilities(dtype: torch.dtype, num_classes: int) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(200, num_classes, generator=generator) * 3
    labels = torch.randint(0, num_classes, (200,), generator=generator)
    half = metrics.ece(logits.to(dtype).softmax(-1), labels, bins=1)
    assert float(half) == pytest.approx(float(metrics.ece(logits.softmax(-1), labels, bins=1)), abs=5e-3)


def test_trap_29_logits_are_not_taken_for_probabilities() -> None:
    message = (
        r"probs: rows of probabilities; got a sum of 2 and a least entry of -1 at row 1; take logits.softmax\(-1\)"
    )
    with pytest.raises(ValueError, match=message):
        metrics.ece(torch.tensor([[0.5, 0.5], [3.0, -1.0]]), torch.tensor([0, 0]))
    with pytest.raises(ValueError, match=r"got a sum of 0.5 and a least entry of 0 at row 0"):
        metrics.ece(torch.tensor([[0.5, 0.0]]), torch.tensor([0]))
    with pytest.raises(ValueError, match=r"got a sum of nan .* at row 0"):
        metrics.ece(torch.tensor([[0.5, torch.nan]]), torch.tensor([0]))


def test_trap_30_integers_are_refused_not_measured_at_zero() -> None:
    with pytest.raises(TypeError, match=r"probs: a floating-point tensor; got dtype torch.int64; use probs.float\(\)"):
        metrics.ece(torch.tensor([[1, 0], [0, 1]]), torch.tensor([1, 1]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bins": 0}, "bins: at least 1; got 0; 15 and 100 are usual"),
        ({"bins": 2.5}, "bins: an int of at least 1; got 2.5"),
        ({"binning": "widths"}, r"binning: one of width, mass; got 'widths'; did you mean 'width'\?"),
        ({"norm": 3}, "norm: one of 1, 2, max; got '3'"),
        ({"norm": "l1"}, "norm: one of 1, 2, max; got 'l1'"),
    ],
)
def test_errors(options: dict, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        metrics.ece(torch.full((2, 2), 0.5), torch.tensor([0, 1]), **options)
