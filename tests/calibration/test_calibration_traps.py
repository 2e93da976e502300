"""Traps 28 and 31: temperatures without a minimum, and temperatures fitted on noisy labels."""

import math

import pytest
import torch

from softtargets import noise
from softtargets.calibration import TemperatureScaling


@pytest.mark.parametrize("scale", [0.02, 0.1, 0.3])
def test_trap_28_all_right_gives_the_temperature_of_platts_targets(scale: float) -> None:
    logits = torch.tensor([[2.0, 0.0, 1.0], [0.0, 3.0, -torch.inf]], dtype=torch.float64) * scale
    fitted = TemperatureScaling().fit(logits, torch.tensor([0, 1]))
    targets = torch.tensor([[3 / 4, 1 / 8, 1 / 8], [1 / 4, 3 / 4, 0.0]], dtype=torch.float64)
    slope = (fitted(logits).exp() - targets).mul(logits.clamp(min=-1e9)).nansum()
    assert float(slope) == pytest.approx(0.0, abs=1e-9)
    assert float(fitted.temperature) < 1
    assert not bool(fitted.converged)


def test_trap_28_labels_that_are_less_wrong_than_the_transition_says_count_as_all_right() -> None:
    logits = torch.tensor([[0.2, 0.0, 0.1], [0.0, 0.3, 0.0], [0.1, 0.0, 0.0]])
    labels = torch.tensor([0, 1, 0])
    noisy = TemperatureScaling().fit(logits, labels, transition=noise.symmetric(0.3, 3))
    assert not bool(noisy.converged)
    assert torch.equal(noisy.temperature, TemperatureScaling().fit(logits, labels).temperature)


@pytest.mark.parametrize(
    ("bounds", "scale", "temperature"),
    [((1e-3, 1e3), 1e4, 1.0), ((1e-3, 1e3), 1e-5, 1e-3), ((0.1, 0.5), 1e4, 0.5), ((2.0, 5.0), 1.0, 2.0)],
)
def test_trap_28_all_right_makes_no_prediction_less_confident_and_keeps_the_bounds(bounds, scale, temperature) -> None:
    logits = torch.tensor([[2.0, 0.0, 1.0], [0.0, 3.0, 0.0]]) * scale
    fitted = TemperatureScaling(bounds=bounds).fit(logits, torch.tensor([0, 1]))
    assert float(fitted.temperature) == pytest.approx(temperature, rel=1e-6)
    assert not bool(fitted.converged)


def test_trap_28_all_right_on_few_examples_predicts_new_ones_well() -> None:
    """A network is right on all of 100 held-out examples, and on 98 to 99 % of new ones; T = 1 / sharpness is true."""
    for sharpness in (1.0, 3.0):
        draws, changes = torch.Generator().manual_seed(0), []
        while len(changes) < 10:
            z = torch.randn(10_000, 5, generator=draws, dtype=torch.float64)
            z[:, 0] += 6.0
            labels = z.softmax(1).multinomial(1, generator=draws)[:, 0]
            held_out, new = slice(0, 100), slice(100, None)
            if not bool((z.argmax(1) == labels)[held_out].all()):
                continue
            fitted = TemperatureScaling().fit(z[held_out] / sharpness, labels[held_out])
            assert not bool(fitted.converged)
            temperatures = (float(fitted.temperature), 1.0, 1e-3, 1 / sharpness)
            nll = [float(torch.nn.functional.cross_entropy(z[new] / sharpness / t, labels[new])) for t in temperatures]
            changes.append(torch.tensor(nll))
        platt, plain, bound, true = torch.stack(changes).mean(0).tolist()
        assert true <= platt < true + 0.02
        assert platt < (plain if sharpness > 1 else bound)
        assert bound > 10 * true


@pytest.mark.parametrize("labels", [[1, 1], [2, 0], [1, 0]])
def test_trap_28_no_better_than_chance_ends_at_the_upper_bound(labels: list[int]) -> None:
    # the label's logit is below the mean of its row: any finite temperature is worse than a higher one
    logits = torch.tensor([[2.0, 0.0, 0.5], [0.0, 1.0, 3.0]])
    fitted = TemperatureScaling().fit(logits, torch.tensor(labels))
    assert float(fitted.temperature) == pytest.approx(1e3, rel=1e-12)
    assert not bool(fitted.converged)
    bounded = TemperatureScaling(bounds=(0.1, 5.0)).fit(logits, torch.tensor(labels))
    assert float(bounded.temperature) == pytest.approx(5.0)


def test_trap_28_exactly_chance_ends_at_the_upper_bound() -> None:
    # right once by 2 and wrong once by 2: the mean is log 2 at infinite T alone
    fitted = TemperatureScaling().fit(torch.tensor([[2.0, 0.0], [2.0, 0.0]]), torch.tensor([0, 1]))
    assert float(fitted.temperature) == pytest.approx(1e3, rel=1e-12)
    assert not bool(fitted.converged)


def test_trap_28_logits_all_alike_leave_the_temperature_at_1() -> None:
    for logits in (torch.ones(3, 4), torch.tensor([[0.0, -math.inf], [0.0, -math.inf]])):
        fitted = TemperatureScaling().fit(logits, torch.zeros(len(logits), dtype=torch.int64))
        assert float(fitted.temperature) == 1
        assert not bool(fitted.converged)


def test_trap_28_inside_the_bounds_it_is_positive_and_converges() -> None:
    # sigmoid(m / T) = share: T spans twelve orders of magnitude, and a step that overshoots must not leave it
    for share in (0.501, 0.75, 0.999):
        labels = (torch.arange(1000) >= round(share * 1000)).long()
        for size in (0.01, 1.0, 30.0):
            logits = torch.tensor([[size, 0.0]], dtype=torch.float64).expand(1000, 2)
            fitted = TemperatureScaling(bounds=(1e-6, 1e6)).fit(logits, labels)
            assert float(fitted.temperature) == pytest.approx(size / math.log(share / (1 - share)), rel=1e-9)
            assert bool(fitted.converged)


@pytest.mark.parametrize("name", ["symmetric", "pair"])
def test_trap_31_noisy_labels_raise_the_temperature_and_a_known_transition_puts_it_back(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(40_000, 5, dtype=torch.float64, generator=generator) * 3
    labels = torch.multinomial((logits / 1.5).softmax(-1), 1, generator=generator)[:, 0]
    transition = noise.symmetric(0.3, 5) if name == "symmetric" else noise.pair_flip(0.3, 5)
    observed = torch.multinomial(transition.to_dense()[labels], 1, generator=generator)[:, 0]
    clean = float(TemperatureScaling().fit(logits, labels).temperature)
    biased = float(TemperatureScaling().fit(logits, observed).temperature)
    corrected = TemperatureScaling().fit(logits, observed, transition=transition)
    assert clean == pytest.approx(1.5, rel=0.03)
    assert biased > 1.5 * clean
    assert bool(corrected.converged)
    assert float(corrected.temperature) == pytest.approx(clean, rel=0.04)
    transposed = TemperatureScaling().fit(logits, observed, transition=transition.to_dense().T)
    if name == "pair":
        assert abs(float(transposed.temperature) - clean) > 0.3 * clean
