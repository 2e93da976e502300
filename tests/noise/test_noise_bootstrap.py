"""Bootstrap intervals of a transition."""

import pytest
import torch

from benchmarks.simulated import known, seeded
from softtargets import noise

TRUTH = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.0, 0.4, 0.6]], dtype=torch.float64)


def test_intervals_cover_the_transition_about_as_often_as_they_say() -> None:
    """Of classes that are apart the confident joint is nearly unbiased, so that the sample's error is all there is."""
    covered, rate = [], []
    for seed in range(60):
        data = known(400, TRUTH, distance=6, seed=seed)
        found = noise.bootstrap_transition(data.probs, data.labels, n_draws=60, confidence=0.9, generator=seeded(seed))
        covered.append((found.low <= TRUTH) & (found.high >= TRUTH))
        rate.append(found.noise_rate_low <= 0.3 <= found.noise_rate_high)
    shares = torch.stack(covered).double().mean(0)
    possible = TRUTH > 0
    # 60 intervals of 90 %: one of 9 cells falls below 78 % once in a hundred times; percentile ends are a little narrow
    assert float(shares[possible].min()) > 0.75
    assert 0.83 < float(shares[possible].mean()) < 0.97
    assert sum(rate) / 60 > 0.78


def test_draws_of_fewer_rows_have_intervals_as_wide() -> None:
    data = known(8000, TRUTH, distance=6)
    widths = []
    for rows in (8000, 500):
        found = noise.bootstrap_transition(data.probs, data.labels, n_draws=200, max_rows=rows, generator=seeded(0))
        widths.append(found.noise_rate_high - found.noise_rate_low)
        assert found.noise_rate_low < found.noise_rate < found.noise_rate_high
    expected = 2 * 1.96 * (0.3 * 0.7 / 8000) ** 0.5
    assert widths == pytest.approx([expected, expected], rel=0.25)


def test_the_estimate_is_that_of_all_rows_and_ends_are_in_range() -> None:
    data = known(300, TRUTH, distance=3)
    found = noise.bootstrap_transition(data.probs, data.labels, method="dual_t", n_draws=20, generator=seeded(0))
    assert torch.equal(
        found.estimate.to_dense(), noise.estimate_transition(data.probs, data.labels, method="dual_t").to_dense()
    )
    assert bool((found.low <= found.high).all())
    assert float(found.low.min()) >= 0
    assert float(found.high.max()) <= 1
    assert found.confidence == 0.95


def test_the_noise_rate_of_a_transition_is_under_the_clean_prior_that_explains_the_labels() -> None:
    transition = noise.Transition.wrap(TRUTH)
    prior = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)
    labels = torch.arange(3).repeat_interleave((prior @ TRUTH * 1000).round().long())
    found = noise.bootstrap_transition(torch.full((1000, 3), 1 / 3), labels, method=lambda *_: transition, n_draws=2)
    assert found.noise_rate == pytest.approx(0.6 * 0.3 + 0.3 * 0.2 + 0.1 * 0.4, abs=1e-3)


def test_the_estimate_lies_in_its_interval_though_draws_all_lie_on_one_side() -> None:
    """Ten labels a class are few: a draw repeats rows, fits their thresholds better, and all rates are off alike."""
    size, at_the_end = 100, 0
    for seed in range(4):
        generator = seeded(seed)
        clean = torch.randint(size, (1000,), generator=generator)
        wrong = torch.rand(1000, generator=generator) < 0.2
        labels = torch.where(wrong, torch.randint(size, (1000,), generator=generator), clean)
        probs = (torch.randn(1000, size, generator=generator) + torch.nn.functional.one_hot(clean, size)).softmax(1)
        found = noise.bootstrap_transition(probs, labels, n_draws=20, generator=seeded(0))
        estimate, rates = found.estimate.to_dense(), (found.noise_rate_low, found.noise_rate_high)
        assert bool(((found.low <= estimate) & (estimate <= found.high)).all())
        assert rates[0] <= found.noise_rate <= rates[1]
        at_the_end += found.noise_rate in rates
        noise.expected_wrong(
            torch.rand(1000), torch.arange(1000), noise_rate=found.noise_rate, noise_rate_interval=rates
        )
    assert at_the_end >= 2, "the case is met"


def test_the_generator_alone_decides() -> None:
    data = known(200, TRUTH, distance=2)
    before = torch.get_rng_state()
    one, two, other = (
        noise.bootstrap_transition(data.probs, data.labels, n_draws=5, generator=seeded(s)) for s in (1, 1, 2)
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one.low, two.low)
    assert not torch.equal(one.low, other.low)


def test_limits_examples_that_are_alike_have_no_width() -> None:
    probs, labels = torch.tensor([[0.75, 0.25]]).repeat(20, 1), torch.zeros(20, dtype=torch.int64)
    found = noise.bootstrap_transition(probs, labels, n_draws=3)
    assert torch.equal(found.low, found.high)
    assert isinstance(found, noise.TransitionInterval)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_draws": 1}, "n_draws: .*got 1"),
        ({"confidence": 2.0}, "confidence: .*got 2"),
        ({"max_rows": 0}, "max_rows: .*got 0"),
    ],
)
def test_errors(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        noise.bootstrap_transition(torch.full((2, 2), 0.5), torch.tensor([0, 1]), **arguments)


@pytest.mark.parametrize("name", ["n_draws", "max_rows"])
def test_draws_and_rows_are_whole_numbers(name: str) -> None:
    settings: dict = {name: 2.5}
    with pytest.raises(TypeError, match=f"{name}: an int of at least .*got 2.5"):
        noise.bootstrap_transition(torch.full((2, 2), 0.5), torch.tensor([0, 1]), **settings)


def test_a_draw_that_lacks_a_class_is_drawn_within_the_classes() -> None:
    """One trusted example of a class is missing from a third of the draws."""
    clean = torch.tensor([0] * 9 + [1])
    probs = torch.full((10, 2), 0.5)
    probs[9] = torch.tensor([0.25, 0.75])
    found = noise.bootstrap_transition(probs, clean, method="trusted", n_draws=50, generator=seeded(0))
    assert 5 < found.stratified_draws < 35
    assert found.low.tolist() == found.high.tolist() == [[0.5, 0.5], [0.25, 0.75]]
    whole = noise.bootstrap_transition(probs, torch.arange(10) % 2, method="trusted", n_draws=50, generator=seeded(0))
    assert whole.stratified_draws == 0


def test_results_are_readable() -> None:
    found = noise.bootstrap_transition(torch.eye(2), torch.arange(2), n_draws=2)
    assert repr(found) == "TransitionInterval(2 classes, noise_rate=0 [0, 0], confidence=0.95)"
    assert found.to_dict()["estimate"] == [[1.0, 0.0], [0.0, 1.0]]


def test_a_method_returns_a_transition() -> None:
    with pytest.raises(TypeError, match=r"^method: a function that returns a Transition .*; got Tensor; "):
        noise.bootstrap_transition(torch.eye(2), torch.arange(2), method=lambda probs, labels: probs)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"^method: one of .*; got 'dual'; "):
        noise.bootstrap_transition(torch.eye(2), torch.arange(2), method="dual")
