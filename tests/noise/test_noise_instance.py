"""Noise by instance: its rows by hand and by a slow loop, its rates, and that it is the labels' own."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from softtargets import noise

SIZE = 4
ROWS = torch.randn(600, 5, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(600) % SIZE


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def made(rate: float = 0.3, seed: int = 0, **more: Any) -> noise.InstanceTransitions:
    return noise.instance_dependent(ROWS, LABELS, rate, SIZE, generator=seeded(seed), **more)


def slow_rows(model: noise.InstanceTransitions) -> Tensor:
    projections = torch.Generator().manual_seed(model.seed)
    weights = [torch.randn(ROWS.shape[1], SIZE, generator=projections).tolist() for _ in range(SIZE)]
    rows = []
    for x, y, rate in zip(ROWS.tolist(), LABELS.tolist(), model.flip_rates.tolist(), strict=True):
        scores = [sum(value * weights[y][d][k] for d, value in enumerate(x)) for k in range(SIZE)]
        total = sum(math.exp(scores[k]) for k in range(SIZE) if k != y)
        rows.append([1 - rate if k == y else rate * math.exp(scores[k]) / total for k in range(SIZE)])
    return torch.tensor(rows, dtype=torch.float64)


def test_the_rows_of_a_slow_loop() -> None:
    model = made()
    expected = slow_rows(model)
    torch.testing.assert_close(model.rows(torch.arange(600)), expected, rtol=0, atol=1e-5)
    index = torch.tensor([7, 3, 599, 3])
    torch.testing.assert_close(model.rows(index), expected[index], rtol=0, atol=1e-5)


@pytest.mark.parametrize("rate", [0.02, 0.2, 0.5, 0.97])
def test_flip_rates_have_the_mean_asked_for_and_vary(rate: float) -> None:
    rates = made(rate).flip_rates
    assert float(rates.mean()) == pytest.approx(rate, abs=1e-12)
    assert 0 <= float(rates.min()) < rate < float(rates.max()) <= 1


def test_flip_rates_are_normal_where_nothing_is_cut() -> None:
    rates = made(0.5).flip_rates
    assert float(rates.std()) == pytest.approx(0.1, abs=4 * 0.1 / (2 * 600) ** 0.5)
    assert float(((rates - 0.5).abs() < 0.1).double().mean()) == pytest.approx(0.683, abs=4 * 0.47 / 600**0.5)


@pytest.mark.parametrize("seed", range(5))
def test_exact_flips_meet_the_rate_over_all_and_those_of_each_class(seed: int) -> None:
    model = made(0.31, seed)
    result = noise.corrupt(LABELS, model, generator=seeded(seed))
    assert abs(int(result.flipped.sum()) - 0.31 * 600) < 1 + 1e-6
    for label in range(SIZE):
        of = label == LABELS
        assert abs(int(result.flipped[of].sum()) - float(model.flip_rates[of].sum())) < 1 + 1e-6
    counts = torch.bincount(LABELS * SIZE + result.noisy_labels, minlength=SIZE**2).view(SIZE, SIZE).double()
    torch.testing.assert_close(result.transition.to_dense(), counts / 150, rtol=0, atol=1e-12)


@pytest.mark.parametrize("exact", [True, False])
def test_labels_are_drawn_from_their_rows(exact: bool) -> None:
    model, draws = made(0.6), 300
    seen = torch.zeros(600, SIZE, dtype=torch.float64)
    generator = seeded(1)
    for _ in range(draws):
        noisy = noise.corrupt(LABELS, model, exact=exact, generator=generator).noisy_labels
        seen[torch.arange(600), noisy] += 1
    errors = seen / draws - model.rows(torch.arange(600))
    # 2400 cells, each within five standard errors
    assert float(errors.abs().max()) < 5 * 0.5 / draws**0.5
    assert float(errors.mean(0).abs().max()) < 5 * 0.5 / (600 * draws) ** 0.5


def test_the_generators_alone_decide() -> None:
    before = torch.get_rng_state()
    first, again, other = (noise.corrupt(LABELS, made(seed=s), generator=seeded(9)).noisy_labels for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, noise.corrupt(LABELS, made(seed=1), generator=seeded(8)).noisy_labels)
    assert torch.equal(torch.get_rng_state(), before), "the global generator is never touched"


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = noise.corrupt(LABELS, made(), generator=seeded()).noisy_labels
    monkeypatch.setattr("softtargets.noise._instance.CHUNK", 7 * 5)
    assert torch.equal(noise.corrupt(LABELS, made(), generator=seeded()).noisy_labels, whole)


@pytest.mark.parametrize("exact", [True, False])
def test_limits_a_rate_of_0_and_of_1(exact: bool) -> None:
    assert torch.equal(noise.corrupt(LABELS, made(0.0), exact=exact).noisy_labels, LABELS)
    assert bool(noise.corrupt(LABELS, made(1.0), exact=exact).flipped.all())
    for rate in (0.0, 1.0):
        assert torch.equal(made(rate, spread=0.0).flip_rates, torch.full((600,), rate, dtype=torch.float64))


def test_limits_inputs_of_0_without_spread_are_symmetric_noise() -> None:
    model = noise.instance_dependent(torch.zeros(4, 2), torch.arange(4), 0.3, 4, spread=0.0)
    expected = noise.symmetric(0.3, 4).to_dense()
    torch.testing.assert_close(model.rows(torch.arange(4)), expected, rtol=0, atol=1e-7)


def test_similar_inputs_become_the_same_class() -> None:
    alike = ROWS[:1].expand(600, -1) * 100
    labels = torch.zeros(600, dtype=torch.int64)
    model = noise.instance_dependent(alike, labels, 0.5, SIZE, generator=seeded())
    assert len(noise.corrupt(labels, model, generator=seeded()).noisy_labels.unique()) == 2


def test_no_labels() -> None:
    model = noise.instance_dependent(torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64), 0.3, 3)
    result = noise.corrupt(torch.zeros(0, dtype=torch.int64), model)
    assert result.noise_rate == 0
    assert torch.equal(result.transition.to_dense(), torch.eye(3, dtype=torch.float64))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: noise.instance_dependent(ROWS[0], LABELS, 0.3, SIZE),
            r"inputs: shape \(N, D\); got \(5,\); flatten each input",
        ),
        (lambda: noise.instance_dependent(ROWS, LABELS[:3], 0.3, SIZE), r"labels: shape \(600,\); got \(3,\)"),
        (lambda: noise.instance_dependent(ROWS, LABELS, 1.3, SIZE), r"rate: in \[0, 1\]; got 1.3"),
        (lambda: noise.instance_dependent(ROWS, LABELS, 0.3, SIZE, spread=-1.0), r"spread: in \[0, 1\]; got -1"),
        (lambda: noise.instance_dependent(ROWS, LABELS, 0.3, 3), "labels: .* below 3.*; got 3 at row 3"),
        (
            lambda: noise.instance_dependent(ROWS.long(), LABELS, 0.3, SIZE),
            "inputs: a floating-point tensor; got dtype",
        ),
        (
            lambda: noise.instance_dependent(ROWS / 0, LABELS, 0.3, SIZE),
            "inputs: finite numbers; got a number that is not finite in row 0; fix or drop that example",
        ),
        (
            lambda: noise.corrupt(LABELS.flip(0), made()),
            "labels: the labels that the noise was made for; got other labels; call instance_dependent with these",
        ),
        (lambda: noise.corrupt(LABELS[:5], made()), "labels: the labels that the noise was made for; got other labels"),
    ],
)
def test_errors(call, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_rows_by_mask_by_ids_and_by_numpy() -> None:
    model = made()
    mask = torch.zeros(len(LABELS), dtype=torch.bool)
    mask[[3, 7]] = True
    expected = model.rows(torch.tensor([3, 7]))
    assert torch.equal(model.rows(mask), expected)
    assert torch.equal(model.rows(torch.tensor([3, 7], dtype=torch.uint8)), expected)
    found = model.rows(np.array([3, 7]))
    assert isinstance(found, np.ndarray)
    assert np.array_equal(found, expected.numpy())
    with pytest.raises(ValueError, match=r"^index: a mask of shape \(600,\)"):
        model.rows(mask[:3])
    with pytest.raises(ValueError, match=r"^index: ids of .*below 600.*; got 600 at row 0"):
        model.rows(torch.tensor([600]))


def test_left_out_examples_keep_their_label() -> None:
    labels = LABELS.clone()
    labels[:10] = -100
    mask = torch.arange(len(labels)) != 10
    model = noise.instance_dependent(ROWS, labels, 0.9, SIZE, mask=mask, generator=seeded(0))
    assert float(model.flip_rates[:11].max()) == 0
    assert float(model.flip_rates[11:].mean()) == pytest.approx(0.9)
    found = noise.corrupt(labels, model, mask=mask, generator=seeded(0))
    assert torch.equal(found.noisy_labels[:11], labels[:11])
    assert found.noise_rate == pytest.approx(0.9, abs=1 / len(labels))


def test_a_short_text() -> None:
    assert repr(made()).startswith("InstanceTransitions(600 examples, ")
