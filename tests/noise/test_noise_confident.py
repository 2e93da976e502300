"""The confident joint: by hand, against the slow loop, and in cleanlab's counts."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import noise as reference
from torch import Tensor

from benchmarks.simulated import asymmetric, distance, known
from softtargets import noise


@st.composite
def problems(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Draw probabilities in quarters or sixths, so that ties and thresholds met exactly are common, and labels."""
    size, parts = draw(st.integers(2, 5)), draw(st.sampled_from([4, 6]))
    cuts = st.lists(st.integers(0, parts), min_size=size - 1, max_size=size - 1).map(sorted)
    rows = draw(st.lists(cuts, min_size=1, max_size=25))
    bounds = torch.tensor([[0, *row, parts] for row in rows], dtype=torch.float64)
    labels = draw(st.lists(st.integers(0, size - 1), min_size=len(rows), max_size=len(rows)))
    return bounds.diff(dim=1) / parts, torch.tensor(labels)


@settings(deadline=None, database=None, max_examples=200)
@given(problems(), st.sampled_from([torch.float64, torch.float32]))
def test_counts_are_the_slow_loops(problem: tuple[Tensor, Tensor], dtype: torch.dtype) -> None:
    probs, labels = problem
    found = noise.confident_joint(probs.to(dtype), labels)
    rows, given_labels = probs.tolist(), labels.tolist()
    counts = reference.confident_joint(rows, given_labels)
    assert found.counts.tolist() == counts
    bounds = torch.tensor(reference.thresholds(rows, given_labels), dtype=torch.float64)
    torch.testing.assert_close(found.thresholds, bounds, rtol=0, atol=1e-7)
    scaled = torch.tensor(reference.calibrated(counts, given_labels), dtype=torch.float64)
    torch.testing.assert_close(found.joint, scaled / len(labels), rtol=0, atol=1e-12)


@settings(deadline=None, database=None, max_examples=100)
@given(problems())
def test_whole_counts_sum_to_the_labels_and_are_within_one_of_the_joint(problem: tuple[Tensor, Tensor]) -> None:
    found = noise.confident_joint(*problem)
    whole = found.calibrated_counts
    assert torch.equal(whole.sum(0), torch.bincount(problem[1], minlength=len(whole)))
    assert bool(((whole - found.joint * len(problem[1])).abs() < 1 + 1e-9).all())
    assert bool((whole >= 0).all())


def test_orientation_of_a_ConfidentJoint() -> None:
    """Trap 23: cats (0) are labelled dog (1) and never the other way; rows are clean, columns observed."""
    cat, dog = [0.75, 0.25], [0.125, 0.875]
    probs = torch.tensor([cat, cat, cat, dog, dog])
    found = noise.confident_joint(probs, torch.tensor([0, 0, 1, 1, 1]))
    assert found.counts.tolist() == [[2, 1], [0, 2]]
    assert found.class_counts.tolist() == [2, 3]
    torch.testing.assert_close(found.joint, torch.tensor([[2, 1], [0, 2]], dtype=torch.float64) / 5)
    torch.testing.assert_close(found.class_prior, torch.tensor([0.6, 0.4], dtype=torch.float64))
    torch.testing.assert_close(
        found.transition.to_dense(), torch.tensor([[2 / 3, 1 / 3], [0.0, 1.0]], dtype=torch.float64)
    )
    assert found.noise_rate == pytest.approx(0.2)
    again = noise.Transition.wrap(found.transition.to_dense())
    torch.testing.assert_close(found.class_prior @ again.to_dense(), found.class_counts / 5.0, check_dtype=False)


def test_the_largest_of_all_probabilities_decides_where_several_thresholds_are_met() -> None:
    """As in cleanlab 2.9; the paper would take class 1, the largest of those that are met."""
    probs = torch.tensor([[0.4, 0.35, 0.25], [1.0, 0.0, 0.0], [0.4, 0.35, 0.25], [0.5, 0.35, 0.15], [0.6, 0.15, 0.25]])
    labels = torch.tensor([0, 0, 1, 1, 2])  # thresholds .7, .35, .25
    assert noise.confident_joint(probs, labels).counts.tolist() == [[2, 1, 0], [0, 1, 0], [0, 0, 1]]


def test_counts_are_cleanlabs() -> None:
    """cleanlab 2.9.0: compute_confident_joint(labels, probs, calibrate=False).T, and with calibrate=True."""
    columns = torch.arange(5)
    scores = torch.stack([((7 * i + 3 * columns) * (columns + 2)) % 11 for i in range(40)]).double()
    probs = (scores / 3).softmax(1)
    labels = torch.tensor([(i * i + i // 3) % 5 for i in range(40)])
    found = noise.confident_joint(probs, labels)
    assert found.counts.tolist() == CLEANLAB_COUNTS
    assert found.calibrated_counts.tolist() == CLEANLAB_CALIBRATED


CLEANLAB_COUNTS = [[4, 1, 0, 4, 2], [2, 4, 1, 4, 4], [1, 4, 1, 1, 0], [1, 1, 1, 1, 1], [0, 2, 0, 0, 1]]
CLEANLAB_CALIBRATED = [[4, 1, 0, 3, 2], [2, 4, 1, 4, 4], [1, 4, 1, 1, 0], [1, 1, 1, 1, 1], [0, 2, 0, 0, 1]]


def test_classes_that_are_apart_give_the_transition() -> None:
    data = known(100_000, asymmetric(), distance=5)
    found = noise.confident_joint(data.probs, data.labels)
    assert float(distance(found.transition, data.transition).max()) < 0.02
    assert found.noise_rate == pytest.approx(float((data.clean != data.labels).double().mean()), abs=0.005)


def test_limits_one_hot_probabilities_of_the_labels_are_without_noise() -> None:
    labels = torch.tensor([0, 2, 1, 1])
    found = noise.confident_joint(torch.eye(3)[labels], labels)
    assert found.counts.tolist() == [[1, 0, 0], [0, 2, 0], [0, 0, 1]]
    assert found.noise_rate == 0


def test_a_class_that_is_no_examples_label_keeps_its_label() -> None:
    probs = torch.tensor([[0.6, 0.1, 0.3], [0.1, 0.6, 0.3]])
    found = noise.confident_joint(probs, torch.tensor([0, 1]))
    assert found.thresholds.tolist()[2] == float("inf")
    assert torch.equal(found.transition.to_dense(), torch.eye(3, dtype=torch.float64))
    assert found.class_prior.tolist() == [0.5, 0.5, 0]


def test_permuting_classes_permutes_the_joint() -> None:
    data = known(500, asymmetric(), distance=2)
    order = torch.tensor([3, 1, 4, 0, 5, 9, 2, 6, 8, 7])
    counts = noise.confident_joint(data.probs, data.labels).counts
    permuted = noise.confident_joint(data.probs[:, order], order.argsort()[data.labels]).counts
    assert torch.equal(permuted, counts[order][:, order])
