"""Neural collapse of a small run against the definition."""

import pytest
import torch
from measures.small_runs import features_of

from softtargets.analysis import neural_collapse
from softtargets.measures.collapse import collapse


def test_collapse_asks_the_network_and_the_nearest_mean(subject) -> None:
    features, labels = features_of(subject, "train"), subject.predictions["train.labels"]
    means = torch.stack([features[labels == name].mean(0) for name in range(10)])
    nearest = torch.cdist(features, means).argmin(1)
    predicted = subject.predictions["train.logits"].argmax(1)
    assert collapse(subject)["nc4"] == pytest.approx(float((nearest != predicted).double().mean()))


def test_a_class_without_an_example_has_no_part_in_collapse(subject) -> None:
    kept = subject.predictions["train.labels"] != 4
    for name in ("train.ids", "train.labels"):
        subject.predictions[name] = subject.predictions[name][kept]
    found = collapse(subject)
    others = [name for name in range(10) if name != 4]
    labels = subject.predictions["train.labels"]
    expected = neural_collapse(
        features_of(subject, "train"),
        torch.where(labels > 4, labels - 1, labels),
        subject.head.weight[others].double(),
        bias=subject.head.bias[others].double(),
    )
    assert found["nc1"] == pytest.approx(float(expected.nc1), rel=1e-5)
    assert found["nc3"] == pytest.approx(float(expected.nc3), rel=1e-5)


def test_a_head_without_bias_is_measured(subject) -> None:
    bias = subject.head.bias.detach().clone()
    expected = collapse(subject)
    subject.head.bias = None
    without = collapse(subject)
    assert {name: without[name] for name in without if name != "nc4"} == {
        n: expected[n] for n in expected if n != "nc4"
    }
    subject.head.register_parameter("bias", torch.nn.Parameter(torch.zeros_like(bias)))
    assert collapse(subject) == without
