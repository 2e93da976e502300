"""The mixture of clean classes: by hand, and what it recovers of simulated noise."""

import pytest
import torch

from benchmarks.simulated import known, tempered
from softtargets import noise
from softtargets.noise import NoiseMixture
from softtargets.noise._mixture import FLOOR, fit_mixture


def test_the_probability_of_a_wrong_label_by_hand():
    matrix = torch.tensor([[0.9, 0.1], [0.2, 0.8]], dtype=torch.float64)
    mixture = NoiseMixture(2.0, torch.tensor([0.0, 0.5]).double(), noise.Transition(2, matrix=matrix), 0.1)
    odds = ((0.3 + FLOOR / 2) / (0.7 + FLOOR / 2)) ** 2 * torch.tensor(0.5).exp().item()
    clean = torch.tensor([1, odds]) / (1 + odds)
    expected = clean[0] * 0.1 / (clean[0] * 0.1 + clean[1] * 0.8)
    found = mixture.wrong(torch.tensor([[0.7, 0.3]], dtype=torch.float64), torch.tensor([1]))
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_noise_and_confusions_are_told_apart_whatever_the_temperature_of_the_model(temperature):
    data = known(4000, noise.symmetric(0.2, 5).to_dense(), distance=3.0)
    probs = tempered(data.posterior, temperature)
    mixture = fit_mixture(probs, data.labels)
    wrong = data.labels != data.clean
    # the predictions disagree with many more labels than are wrong
    assert float((probs.argmax(1) != data.labels).double().mean()) > 0.23
    assert mixture.noise_rate == pytest.approx(float(wrong.double().mean()), abs=0.025)
    likely = mixture.wrong(probs, data.labels)
    bins = (10 * likely).long().clamp(max=9)
    gaps = torch.zeros(10, dtype=likely.dtype).index_add_(0, bins, likely - wrong.to(likely))
    assert float(gaps.abs().sum()) / len(wrong) < 0.04


def test_clean_labels_have_no_noise_though_the_model_errs():
    data = known(4000, torch.eye(5, dtype=torch.float64), distance=3.0)
    assert float((data.posterior.argmax(1) != data.labels).double().mean()) > 0.05
    assert fit_mixture(data.posterior, data.labels).noise_rate < 0.01


def test_the_penalty_on_entropy_gives_more_noise():
    data = known(3000, noise.pair_flip(0.3, 4).to_dense(), distance=3.0)
    rates = [fit_mixture(data.probs, data.labels, entropy=entropy).noise_rate for entropy in (0.0, 0.3)]
    # the probabilities contain the noise, so the likelihood does not show it
    assert rates[0] < rates[1]
    assert rates[1] > 0.2
