"""Bootstrap intervals and paired differences: against loops and numbers computed by hand."""

import pytest
import torch
from torch import Tensor

from softtargets.metrics import (
    ECE,
    NLL,
    Accuracy,
    Brier,
    BrierDecomposition,
    Interval,
    SmoothECE,
    interval,
    paired_difference,
)
from softtargets.metrics._interval import _p_value
from softtargets.metrics.groups import group_of


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def simulated(size: int, *, sharp: float = 1.5, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = seeded(seed)
    logits = 2 * torch.randn(size, 4, generator=generator, dtype=torch.float64)
    labels = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
    return (sharp * logits).softmax(1), labels


def groups_apart(size: int) -> Tensor:
    """Ids of examples that all have a group of their own among 4,000."""
    group = group_of(torch.arange(200), 4000, 0).tolist()
    first = [number for number in range(200) if group.index(group[number]) == number]
    return torch.tensor(first[:size])


def test_of_examples_in_groups_of_their_own_it_is_the_bootstrap() -> None:
    # the accuracy of a resample of n examples of which k are right is Binomial(n, k / n) / n
    size, right = 40, 36
    probs = torch.tensor([[0.9, 0.1]], dtype=torch.float64).expand(size, 2)
    labels = (torch.arange(size) >= right).long()
    gathered = Accuracy(groups=4000).update(probs, labels, ids=groups_apart(size))
    found = interval(gathered, n_draws=20_000, generator=seeded())
    exact = torch.distributions.Binomial(size, torch.tensor(right / size, dtype=torch.float64))
    below = exact.log_prob(torch.arange(size + 1.0, dtype=torch.float64)).exp().cumsum(0)
    assert float(found.estimate) == 0.9
    assert round(float(found.low) * size) == int((below >= 0.025).byte().argmax())
    assert round(float(found.high) * size) == int((below >= 0.975).byte().argmax())
    assert (found.confidence, found.method, found.p_value) == (0.95, "percentile", None)


def test_random_groups_give_the_same_width() -> None:
    probs, labels = simulated(20_000)
    found = interval(NLL(groups=1000).update(probs, labels), n_draws=2000, generator=seeded())
    values = -probs.gather(1, labels[:, None]).log()[:, 0]
    error = float(values.std() / len(values) ** 0.5)
    assert float(found.high - found.low) == pytest.approx(2 * 1.96 * error, rel=0.1)
    assert float(found.low) == pytest.approx(float(values.mean()) - 1.96 * error, abs=0.3 * error)


def test_what_is_drawn_is_the_generators() -> None:
    gathered = Brier(groups=100).update(*simulated(500))
    ends = [interval(gathered, n_draws=50, generator=seeded(seed)).low for seed in (1, 1, 2)]
    assert torch.equal(ends[0], ends[1])
    assert not torch.equal(ends[0], ends[2])


def test_intervals_are_nested_by_confidence() -> None:
    for gathered in (NLL(groups=200), ECE(groups=200)):
        gathered.update(*simulated(800))
        narrow, wide = (interval(gathered, confidence=share, generator=seeded()) for share in (0.8, 0.99))
        assert wide.low < narrow.low < narrow.estimate < narrow.high < wide.high


@pytest.mark.parametrize("make", [ECE, SmoothECE])
def test_the_basic_interval_subtracts_the_bias_of_a_calibration_error(make: type[ECE | SmoothECE]) -> None:
    # a calibrated model: the estimate is noise, replicates are noisier still
    gathered = make(groups=200).update(*simulated(400, sharp=1.0))
    found = interval(gathered, n_draws=200, generator=seeded())
    rows = gathered.state_dict()["rows"]
    drawn = torch.multinomial((rows > 0).double(), 200 * int((rows > 0).sum()), replacement=True, generator=seeded())
    weights = torch.stack([torch.bincount(part, minlength=200) for part in drawn.view(200, -1)]).double()
    assert float(gathered.replicates(weights).mean()) > float(found.estimate)
    assert found.method == "basic"
    assert 0 <= float(found.low) < float(found.estimate) <= float(found.high)
    assert float(found.low) < 0.3 * float(found.estimate)


def test_the_ends_match_the_definition() -> None:
    gathered = ECE(groups=50).update(*simulated(600, sharp=3.0))
    estimate = gathered.compute()
    # what interval draws, drawn again
    drawn = torch.randint(50, (300, 50), generator=seeded(4))
    replicates = gathered.replicates(torch.stack([torch.bincount(one, minlength=50) for one in drawn]).double())
    ranked = replicates.sort().values
    low, high = ranked[round(0.025 * 299)], ranked[round(0.975 * 299)]
    found = interval(gathered, n_draws=300, generator=seeded(4))
    assert float(found.low) == pytest.approx(float(2 * estimate - high), abs=1e-12)
    upper = max(float(2 * estimate - low), float(estimate + (high - low) / 2))
    assert float(found.high) == pytest.approx(upper, abs=1e-12)
    percentile = interval(NLL(groups=50).update(*simulated(600)), n_draws=300, generator=seeded(4))
    assert percentile.method == "percentile"


def test_metrics_of_several_numbers_have_as_many_intervals() -> None:
    found = interval(ECE(groups=60, classwise=True, norm="l2").update(*simulated(300)), n_draws=30, generator=seeded())
    assert found.low.shape == found.high.shape == found.estimate.shape


def test_what_can_be_negative_is_not_cut_at_0() -> None:
    # within bins forecasts gain more (covariance) than they lose (variance)
    probs, labels = simulated(600)
    gathered = BrierDecomposition(n_bins=2, groups=300).update(probs, labels)
    found = interval(gathered, n_draws=200, generator=seeded())
    assert float(found.estimate[3]) < -0.01
    assert bool((found.low < found.estimate).all())
    assert bool((found.low[:3] >= 0).all())
    assert float(found.estimate[3] - found.low[3]) > 0.2 * float(found.high[3] - found.estimate[3])


def test_an_infinite_nll_has_an_infinite_upper_end() -> None:
    probs, labels = simulated(300)
    probs[0] = torch.tensor([1.0, 0, 0, 0])
    labels[0] = 1
    found = interval(NLL(groups=1000).update(probs, labels), n_draws=200, generator=seeded())
    assert float(found.estimate) == float(found.high) == torch.inf
    assert bool(found.low.isfinite())  # a third of the replicates do not hold that example


def test_paired_differences_draw_the_same_groups() -> None:
    probs, labels = simulated(1000)
    slightly = 0.99 * probs + 0.01 / 4
    first, second = (NLL(groups=300).update(values, labels) for values in (probs, slightly))
    paired = paired_difference(first, second, n_draws=400, generator=seeded())
    one, other = (interval(each, n_draws=400, generator=seeded()) for each in (first, second))
    assert float(paired.estimate) == pytest.approx(float(one.estimate - other.estimate), abs=1e-12)
    assert float(paired.high - paired.low) < 0.3 * float(one.high - one.low)
    swapped = paired_difference(second, first, n_draws=400, generator=seeded())
    assert float(swapped.low) == pytest.approx(-float(paired.high), abs=2e-4)
    assert torch.equal(swapped.p_value, paired.p_value)  # pyright: ignore[reportArgumentType]
    # exactly, from the examples: the standard error of the mean difference
    values = [-p.gather(1, labels[:, None]).log()[:, 0] for p in (probs, slightly)]
    error = float((values[0] - values[1]).std() / 1000**0.5)
    assert float(paired.high - paired.low) == pytest.approx(2 * 1.96 * error, rel=0.2)


def p_value(found: Interval) -> float:
    assert found.p_value is not None
    return float(found.p_value)


def test_p_values() -> None:
    probs, labels = simulated(1000)
    groups = 300

    def against(values: Tensor) -> Interval:
        first, second = (Accuracy(groups=groups).update(each, labels) for each in (probs, values))
        return paired_difference(first, second, n_draws=199, generator=seeded())

    # one model against itself: every replicate is 0, on both sides
    same = against(probs)
    assert (float(same.estimate), float(same.low), float(same.high), p_value(same)) == (0, 0, 0, 1)
    # against one that is always wrong: no replicate on the other side, 2 * 1 / 200
    wrong = torch.nn.functional.one_hot((labels + 1) % 4, 4).double()
    assert p_value(against(wrong)) == pytest.approx(0.01, abs=1e-12)
    # the p-value and the interval agree
    for seed in range(5):
        other, _ = simulated(1000, seed=seed + 1)
        found = against((probs * (1 + 0.3 * other)) / (probs * (1 + 0.3 * other)).sum(1, keepdim=True))
        inside = bool(found.low <= 0 <= found.high)
        assert inside == (p_value(found) > 0.05) or abs(p_value(found) - 0.05) < 0.021


def test_p_values_under_no_difference_are_spread() -> None:
    # two models that err independently and equally often
    values = []
    for seed in range(60):
        generator = seeded(seed)
        labels = torch.zeros(200, dtype=torch.int64)
        wrong = torch.rand(2, 200, generator=generator) < 0.3
        first, second = (
            Accuracy(groups=400).update(torch.stack([~each, each], 1).double(), labels, ids=torch.arange(200))
            for each in wrong
        )
        values.append(p_value(paired_difference(first, second, n_draws=200, generator=generator)))
    below = sum(value < 0.5 for value in values)
    assert 17 <= below <= 43  # Binomial(60, 1/2), beyond 1 in 1000
    assert sum(value < 0.05 for value in values) <= 10


def test_the_p_value_of_a_basic_interval_agrees_with_it() -> None:
    probs, labels = simulated(2000, sharp=2.5)
    sharp, right = (ECE(groups=200).update(each, labels) for each in (probs, simulated(2000, sharp=1.0)[0]))
    found = paired_difference(sharp, right, n_draws=199, generator=seeded())
    assert found.method == "basic"
    assert 0 < float(found.low) < float(found.estimate)
    assert p_value(found) == pytest.approx(0.01, abs=1e-12)


def test_p_values_by_hand() -> None:
    # of 4 replicates 1 is on the other side of 0; mirrored at the estimate, 3, 1, -1 and -3, there are 2
    estimate, replicates = torch.tensor(1.0), torch.tensor([-1.0, 1.0, 3.0, 5.0])
    assert float(_p_value(estimate, replicates, "percentile")) == pytest.approx(2 * 2 / 5)
    assert float(_p_value(estimate, replicates, "basic")) == 1
    assert float(_p_value(estimate, replicates + 2, "basic")) == pytest.approx(2 * 2 / 5)


def test_errors() -> None:
    probs, labels = simulated(50)
    with pytest.raises(ValueError, match="accumulator: two groups or more; got 1; create it with groups=1000"):
        interval(Accuracy().update(probs, labels))
    with pytest.raises(ValueError, match="accumulator: at least two examples; got none"):
        interval(Accuracy(groups=10))
    with pytest.raises(ValueError, match="accumulator: examples in two groups or more; got all in one"):
        interval(Accuracy(groups=10).update(probs[:1], labels[:1]))
    gathered = Accuracy(groups=10).update(probs, labels)
    with pytest.raises(TypeError, match="accumulator: an accumulator; got float"):
        interval(0.5)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="n_draws: an int of at least 1; got 0"):
        interval(gathered, n_draws=0)
    for confidence in (0.0, 1.0):
        with pytest.raises(ValueError, match="confidence: above 0 and below 1"):
            interval(gathered, confidence=confidence)
    with pytest.raises(ValueError, match=r"second: the settings Accuracy\(.*groups=10.*\); got Accuracy\(.*groups=20"):
        paired_difference(gathered, Accuracy(groups=20).update(probs, labels))
    with pytest.raises(ValueError, match=r"second: the same examples as first; got 49 examples in other groups"):
        paired_difference(gathered, Accuracy(groups=10).update(probs[1:], labels[1:]))
    shifted = Accuracy(groups=10).update(probs, labels, ids=torch.arange(50) + 1000)
    with pytest.raises(ValueError, match="second: the same examples as first"):
        paired_difference(gathered, shifted)


def test_an_interval_ends_at_the_largest_value_that_the_metric_can_have() -> None:
    """Without the bound, the upper end of the basic interval is 1.05."""
    generator = torch.Generator().manual_seed(3)
    confidence = 0.5 + 0.5 * torch.rand(60, generator=generator, dtype=torch.float64)
    probs = torch.stack([confidence, 1 - confidence], -1)
    labels = (torch.rand(60, generator=generator) < 0.8).long()
    accumulator = ECE(norm="max", groups=60)
    accumulator.update(probs, labels)
    found = interval(accumulator, generator=generator)
    assert found.estimate <= found.high <= 1
