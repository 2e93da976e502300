"""Whether predictions know more than a guess."""

import pytest
import torch

from softtargets.audit.evidence import LabelEvidence, measure_agreement


def test_agreement_is_compared_with_guessing_the_most_frequent_label():
    labels = torch.tensor([0, 0, 0, 1])
    probs = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.1, 0.9]])
    found = measure_agreement(LabelEvidence(probs, labels, ("a", "b")))
    assert (found.share, found.largest) == (0.75, 0.75)
    # of 4 guesses, each right with probability 3/4, at least 3 are: 4 (3/4)^3 (1/4) + (3/4)^4
    assert found.by_chance == pytest.approx(4 * 0.75**3 * 0.25 + 0.75**4)


def test_labels_are_wrong_by_the_reference_alone():
    evidence = LabelEvidence(torch.full((2, 2), 0.5), torch.tensor([0, 1]), ("a", "b"), reference=torch.tensor([0, 0]))
    assert evidence.wrong is not None
    assert evidence.wrong.tolist() == [False, True]
    assert LabelEvidence(evidence.probs, evidence.labels, ("a", "b")).wrong is None
