"""Intervals that share their replicates are those of the functions."""

import pytest
import torch

from softtargets.metrics import ECE, NLL, Accuracy, Interval, interval, paired_difference
from softtargets.metrics.bootstrap import Bootstrap

N = 600


def accumulators(seed: int) -> list:
    g = torch.Generator().manual_seed(seed)
    probs = (2 * torch.randn(N, 4, generator=g)).softmax(1)
    labels = torch.arange(N) % 4
    made = [Accuracy(groups=50), NLL(groups=50), ECE(groups=20), ECE(binning="mass", groups=50), Accuracy()]
    return [one.update(probs, labels, ids=torch.arange(N)) for one in made]


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def same(found: Interval, wanted: Interval) -> None:
    for name in ("estimate", "low", "high"):
        torch.testing.assert_close(getattr(found, name), getattr(wanted, name), rtol=1e-13, atol=1e-13)
    assert (found.p_value, found.method, found.confidence) == (wanted.p_value, wanted.method, wanted.confidence)


def test_each_interval_is_that_of_a_new_generator() -> None:
    *several, whole = accumulators(0)
    bootstrap = Bootstrap([*several, whole], n_draws=200, confidence=0.9, seed=3)
    for one in reversed(several):
        same(bootstrap.interval(one), interval(one, n_draws=200, confidence=0.9, generator=seeded()))
    with pytest.raises(ValueError, match="two groups or more"):
        bootstrap.interval(whole)


def test_each_difference_is_that_of_a_new_generator() -> None:
    first, second = accumulators(0)[:-1], accumulators(1)[:-1]
    ours, theirs = (Bootstrap(some, n_draws=200, confidence=0.9, seed=3) for some in (first, second))
    for one, other in zip(first, second, strict=True):
        found = ours.difference(one, theirs, other)
        same(found, paired_difference(one, other, n_draws=200, confidence=0.9, generator=seeded()))
    with pytest.raises(ValueError, match="the settings"):
        ours.difference(first[0], theirs, second[1])


def test_replicates_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = accumulators(0)[0], accumulators(1)[0]
    ours, theirs = (Bootstrap([one], n_draws=20, confidence=0.9, seed=3) for one in (first, second))
    calls = []
    replicates = Accuracy.replicates
    monkeypatch.setattr(Accuracy, "replicates", lambda self, weights: calls.append(1) or replicates(self, weights))
    ours.interval(first)
    ours.difference(first, theirs, second)
    theirs.interval(second)
    assert len(calls) == 2
