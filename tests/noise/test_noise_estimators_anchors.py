"""Anchors: exact where probabilities are, and counted where only their order is."""

import pytest
import torch

from benchmarks.simulated import asymmetric, distance, known
from softtargets import noise
from softtargets.noise.estimators.anchors import anchor_counts, anchor_points

PROBS = torch.tensor([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.1, 0.1, 0.8], [0.3, 0.3, 0.4]])


def test_the_largest_probability_of_each_class_makes_its_row() -> None:
    torch.testing.assert_close(anchor_points(PROBS).to_dense(), PROBS[[0, 2, 3]].double(), rtol=0, atol=1e-7)


@pytest.mark.parametrize(("percentile", "rows"), [(100, [1, 1, 4]), (75, [4, 0, 0]), (0, [3, 3, 0])])
def test_a_percentile_takes_the_largest_below_it(percentile: float, rows: list[int]) -> None:
    found = anchor_points(PROBS, percentile=percentile).to_dense()
    torch.testing.assert_close(found, PROBS[rows].double(), rtol=0, atol=1e-7)


def test_exact_probabilities_with_anchors_give_the_transition() -> None:
    data = known(20_000, asymmetric(), distance=5)
    for percentile in (None, 97):
        found = anchor_points(data.probs, percentile=percentile)
        assert float(distance(found, data.transition).max()) < 0.001


def test_probabilities_that_are_too_sharp_mislead_points_and_not_counts() -> None:
    data = known(40_000, asymmetric(), distance=4)
    sharp = data.probs.pow(2) / data.probs.pow(2).sum(1, keepdim=True)
    assert float(distance(anchor_points(sharp), data.transition).max()) > 0.07
    assert float(distance(anchor_counts(sharp, data.labels), data.transition).mean()) < 0.02


def test_counts_meet_the_transition_of_overlapping_classes_better_than_the_confident_joint() -> None:
    data = known(100_000, noise.symmetric(0.4, 10).to_dense(), distance=2)
    counted = distance(anchor_counts(data.probs, data.labels, share=0.1), data.transition).mean()
    joint = distance(noise.confident_joint(data.probs, data.labels).transition, data.transition).mean()
    assert float(counted) < 0.04 < 0.1 < float(joint)


def test_counts_by_hand_with_ties_at_the_last_place() -> None:
    probs = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.6, 0.4], [0.3, 0.7]])
    labels = torch.tensor([0, 1, 0, 1])
    found = anchor_counts(probs, labels, share=1.0).to_dense()  # two a class; .6 and .4 stand twice
    torch.testing.assert_close(found, torch.tensor([[2, 1], [1, 2]], dtype=torch.float64) / 3)
    half = anchor_counts(probs, labels, share=0.5).to_dense()
    assert half.tolist() == [[1, 0], [0, 1]]


def test_limits_of_counts() -> None:
    labels = torch.tensor([0, 1, 1, 3])
    assert torch.equal(anchor_counts(torch.eye(4)[labels], labels).to_dense(), torch.eye(4, dtype=torch.float64))


@pytest.mark.parametrize("percentile", [-1.0, 101.0, float("nan")])
def test_percentiles_are_from_0_to_100(percentile: float) -> None:
    with pytest.raises(ValueError, match=r"percentile: in \[0, 100\]; got (-1|101|nan)"):
        anchor_points(PROBS, percentile=percentile)


@pytest.mark.parametrize("share", [0.0, 1.5])
def test_shares_are_above_0(share: float) -> None:
    with pytest.raises(ValueError, match=r"share: in \[1e-09, 1\]; got (0|1.5)"):
        anchor_counts(PROBS, torch.tensor([0, 1, 2, 0, 1]), share=share)
