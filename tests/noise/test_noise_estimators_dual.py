"""Dual-T: the product of its two factors."""

import pytest
import torch

from benchmarks.simulated import asymmetric, distance, known
from softtargets import noise
from softtargets.noise.estimators.anchors import anchor_points
from softtargets.noise.estimators.dual import dual_t


def test_by_hand() -> None:
    probs = torch.tensor([[0.75, 0.25], [0.625, 0.375], [0.25, 0.75], [0.0, 1.0]])
    labels = torch.tensor([0, 1, 1, 1])  # predicted: 0, 0, 1, 1
    anchors, counted = torch.tensor([[0.75, 0.25], [0.0, 1.0]]), torch.tensor([[0.5, 0.5], [0.0, 1.0]])
    assert dual_t(probs, labels).to_dense().tolist() == (anchors @ counted).tolist()


def test_limits_labels_that_are_the_predicted_class_give_the_anchors_percentile_and_all() -> None:
    data = known(2000, asymmetric(), distance=3)
    for percentile in (None, 90):
        found = dual_t(data.probs, data.probs.argmax(1), percentile=percentile).to_dense()
        expected = anchor_points(data.probs, percentile=percentile).to_dense()
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_probabilities_that_are_nearly_one_hot_leave_the_noise_to_the_counts() -> None:
    data = known(40_000, noise.symmetric(0.4, 10).to_dense(), distance=5)
    sharp = data.probs.pow(20) / data.probs.pow(20).sum(1, keepdim=True)
    assert float(distance(dual_t(sharp, data.labels), data.transition).mean()) < 0.02
    assert float(distance(anchor_points(sharp), data.transition).mean()) > 0.3


def test_a_class_that_is_never_predicted_keeps_its_label() -> None:
    probs = torch.tensor([[0.75, 0.0, 0.25], [0.0, 0.5, 0.5], [0.0, 0.25, 0.75]])[[0, 2]]
    found = dual_t(probs, torch.tensor([0, 1])).to_dense()
    second = torch.tensor([[1.0, 0, 0], [0, 1.0, 0], [0, 1.0, 0]], dtype=torch.float64)
    torch.testing.assert_close(found, anchor_points(probs).to_dense() @ second)


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"labels: shape \(2,\); got \(1,\)"):
        dual_t(torch.full((2, 2), 0.5), torch.tensor([0]))
