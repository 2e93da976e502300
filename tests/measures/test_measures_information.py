"""Information in two logits of a small run."""

import math

import pytest
import torch
from measures.small_runs import CLASSES

from softtargets.analysis import mutual_information
from softtargets.measures.information import DRAWS, examples_of, information
from softtargets.measures.subject import opened
from softtargets.runs.streams import generator


def test_information_takes_as_many_examples_of_each_class_and_lies_between_its_bounds(subject) -> None:
    rows = examples_of(subject)
    labels = subject.predictions["train.labels"][torch.isin(subject.predictions["train.ids"], rows)]
    counts = labels.bincount(minlength=10)
    assert counts[3] == counts[0] > 10
    assert counts.sum() == 2 * counts[3]
    found = information(subject)["information"]
    assert 0 < found < math.log(len(rows))


def test_information_is_in_the_logits_of_the_first_and_the_third_class(subject) -> None:
    rows, run = examples_of(subject), subject.resolved.run
    draws, (_, inputs) = generator("information", run.seeds.augmentation), subject._data
    with torch.no_grad():
        logits = [subject.network(inputs.batch(rows, run.augmentation, draws)) for _ in range(DRAWS)]
    expected = mutual_information(torch.stack([seen[:, 3] - seen[:, 0] for seen in logits], 1)).value
    assert information(subject)["information"] == pytest.approx(expected, abs=1e-6)


def test_information_is_drawn_from_its_own_stream(subject, store) -> None:
    before = torch.get_rng_state()
    with opened(subject.resolved, store, CLASSES) as again:
        first = information(again)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    assert information(subject) == first


def test_a_network_that_tells_nothing_has_no_information(subject) -> None:
    with torch.no_grad():
        subject.head.weight.zero_()
    assert information(subject)["information"] == pytest.approx(0, abs=1e-9)
