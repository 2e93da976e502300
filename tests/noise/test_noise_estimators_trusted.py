"""The transition from a trusted set (GLC)."""

import pytest
import torch

from benchmarks.simulated import asymmetric, distance, known
from softtargets.noise.estimators.trusted import trusted_set


def test_rows_are_means_by_clean_class() -> None:
    probs = torch.tensor([[0.75, 0.25], [0.25, 0.75], [0.5, 0.5], [0.0, 1.0]])
    found = trusted_set(probs, torch.tensor([0, 1, 0, 1])).to_dense()
    assert found.tolist() == [[0.625, 0.375], [0.125, 0.875]]


def test_limits_one_hot_probabilities_of_the_observed_labels_give_their_confusions() -> None:
    clean, observed = torch.tensor([0, 0, 0, 0, 1, 1]), torch.tensor([0, 1, 0, 0, 1, 1])
    assert trusted_set(torch.eye(2)[observed], clean).to_dense().tolist() == [[0.75, 0.25], [0, 1]]


def test_a_few_trusted_examples_of_classes_that_are_apart_give_the_transition() -> None:
    data = known(1000, asymmetric(), distance=6)
    assert float(distance(trusted_set(data.probs, data.clean), data.transition).max()) < 0.01


def test_a_class_without_a_trusted_example_is_named() -> None:
    with pytest.raises(ValueError, match=r"labels: a trusted example of every clean class; got none of class 1"):
        trusted_set(torch.full((2, 3), 1 / 3), torch.tensor([0, 2]))


def test_errors_name_the_trusted_labels() -> None:
    with pytest.raises(ValueError, match=r"labels: .*below 2.*; got 2 at row 1"):
        trusted_set(torch.full((2, 2), 0.5), torch.tensor([0, 2]))
