"""The order of the labels and how many of the first are wrong."""

import pytest
import torch

from softtargets.audit.evidence import LabelEvidence
from softtargets.audit.ranking import RankedLabels, estimate_cutoffs, find_suspects, rank_labels
from softtargets.matrices import Transition
from softtargets.noise import TransitionInterval

SCORES = {"label_posterior": torch.tensor([0.9, 0.1, 0.8, 0.2]), "other": torch.tensor([0.0, 0.1, 0.2, 0.3])}


@pytest.fixture
def evidence() -> LabelEvidence:
    probs = torch.tensor([[0.8, 0.1, 0.1], [0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.1, 0.5, 0.4]])
    labels = torch.tensor([0, 0, 1, 1])
    return LabelEvidence(probs, labels, ("a", "b", "c"), reference=torch.tensor([0, 1, 1, 2]))


@pytest.fixture
def ranked() -> RankedLabels:
    matrix = torch.eye(3, dtype=torch.float64)
    return rank_labels(SCORES, TransitionInterval(Transition.symmetric(0.0, 3), matrix, matrix, 0.5, 0.4, 0.6, 0.95))


def test_probabilities_of_being_wrong_follow_the_order_and_sum_to_the_rate(ranked):
    assert ranked.order.tolist() == [1, 3, 2, 0]
    assert float(ranked.wrong.sum()) == pytest.approx(4 * 0.5)
    assert ranked.wrong.tolist() == sorted(ranked.wrong.tolist(), reverse=True)
    assert ranked.share_above(0.0) == 1.0
    assert ranked.share_above(1.1) == 0.0


def test_suspects_are_suggested_the_best_other_class(evidence, ranked):
    suspects = find_suspects(evidence, SCORES, ranked)
    assert suspects.rows.tolist() == [1, 3]
    assert suspects.given.tolist() == [0, 1]
    assert suspects.suggested.tolist() == [1, 2]  # the given labels are the most probable classes
    assert suspects.scores["other"].tolist() == [pytest.approx(0.1), pytest.approx(0.3)]
    assert suspects.reference is not None
    assert suspects.reference.tolist() == [1, 2]


def test_cutoffs_count_the_wrong_by_the_reference(evidence, ranked):
    found = list(estimate_cutoffs(evidence, ranked))
    assert [cutoff.first for cutoff in found] == [1, 2, 3, 4]
    assert [cutoff.true for cutoff in found] == [1, 2, 2, 2]
    assert found[-1].wrong.estimate == pytest.approx(2.0)
    assert all(cutoff.wrong.low <= cutoff.wrong.estimate <= cutoff.wrong.high for cutoff in found)
