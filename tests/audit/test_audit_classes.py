"""What is estimated of each class, and of pairs of classes, by hand."""

import pytest
import torch

from softtargets.audit.classes import audit_classes, find_confusions
from softtargets.audit.results import ClassAudit
from softtargets.audit.transitions import TransitionFit
from softtargets.matrices import Transition
from softtargets.noise import TransitionInterval

MATRIX = torch.tensor([[0.5, 0.5], [0.0, 1.0]], dtype=torch.float64)


@pytest.fixture
def fit() -> TransitionFit:
    """Return a T of two classes of equal shares, of which half of the first carries the label of the second."""
    transition = Transition(2, matrix=MATRIX)
    interval = TransitionInterval(transition, MATRIX * 0.5, MATRIX * 1.5, 0.25, 0.2, 0.3, 0.95)
    return TransitionFit(interval, torch.tensor([0.5, 0.5], dtype=torch.float64), (), None)


def test_each_class_by_hand(fit):
    labels = torch.tensor([0, 0, 0, 1, 1, 1, 1, 1])
    found = tuple(audit_classes(fit, labels.bincount(), torch.tensor([1, 1])))
    # of 4 examples of each class, 2 of the first and 4 of the second carry the second label
    assert found == (ClassAudit(3, 4.0, 0.0, 0.5, 0), ClassAudit(5, 4.0, found[1].wrong, 0.0, 2))
    assert found[1].wrong == pytest.approx(1 / 3)


def test_pairs_are_counted_with_their_interval_and_none_is_left_out_but_0(fit):
    # a quarter of a label of two is half a label, which is written as 0
    assert list(find_confusions(fit, 2)) == []
    (pair,) = find_confusions(fit, 8)
    assert (pair.clean, pair.observed) == (0, 1)
    assert (pair.count.low, pair.count.estimate, pair.count.high) == (1.0, 2.0, 3.0)
