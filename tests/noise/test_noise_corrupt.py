"""Corruption: exact where it says so, unbiased, from its own generator, and from the clean labels only."""

import json
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from benchmarks import meter
from softtargets import noise
from softtargets.noise import Corrupted


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def counts_of(clean: Tensor, result: Corrupted, size: int) -> Tensor:
    return torch.bincount(clean * size + result.noisy_labels, minlength=size * size).view(size, size).double()


@st.composite
def problems(draw: st.DrawFn) -> tuple[Tensor, Tensor, int]:
    """Draw clean labels in random order, with empty classes among them, and any transition, zeros and ones included."""
    size = draw(st.integers(2, 12))
    parts = draw(st.lists(st.lists(st.integers(0, 5), min_size=size, max_size=size), min_size=size, max_size=size))
    matrix = torch.tensor(parts, dtype=torch.float64)
    matrix += torch.eye(size, dtype=torch.float64) * (matrix.sum(1) == 0)
    counts = torch.tensor(draw(st.lists(st.integers(0, 30), min_size=size, max_size=size)))
    clean = torch.arange(size).repeat_interleave(counts)
    seed = draw(st.integers(0, 2**31))
    return clean[torch.randperm(len(clean), generator=seeded(seed))], matrix / matrix.sum(1, keepdim=True), seed


@settings(deadline=None, database=None, max_examples=150)
@given(problems())
def test_exact_rates(problem: tuple[Tensor, Tensor, int]) -> None:
    clean, matrix, seed = problem
    size, slack = len(matrix), 1 + 1e-6
    result = noise.corrupt(clean, matrix, generator=seeded(seed))
    counts, totals = counts_of(clean, result, size), torch.bincount(clean, minlength=size).double()
    off = matrix.clone().fill_diagonal_(0)
    flips = counts.clone().fill_diagonal_(0).sum(1)
    wanted = totals * off.sum(1)
    assert bool(((flips - wanted).abs() < slack).all()), "each class within one example of its rate"
    assert abs(float(flips.sum() - wanted.sum())) < slack, "the whole within one example"
    shares = flips[:, None] * off / off.sum(1, keepdim=True).clamp(min=1e-300)
    assert bool(((counts - shares).clone().fill_diagonal_(0).abs() < slack).all()), "each cell within one example"
    assert bool((counts[matrix == 0] == 0).all()), "what cannot happen does not"
    assert torch.equal(result.flipped, result.noisy_labels != clean)


@settings(deadline=None, database=None, max_examples=60)
@given(problems(), st.booleans())
def test_the_realised_transition_and_rate_are_returned(problem: tuple[Tensor, Tensor, int], exact: bool) -> None:
    clean, matrix, seed = problem
    size = len(matrix)
    result = noise.corrupt(clean, matrix, exact=exact, generator=seeded(seed))
    counts, realised = counts_of(clean, result, size), result.transition.to_dense()
    for k in range(size):
        total = counts[k].sum()
        torch.testing.assert_close(realised[k], counts[k] / total if total > 0 else matrix[k], rtol=0, atol=1e-12)
    expected = float((result.noisy_labels != clean).double().mean()) if len(clean) else 0.0
    assert result.noise_rate == expected


@pytest.mark.parametrize("exact", [True, False])
def test_unbiased_over_seeds(exact: bool) -> None:
    matrix = torch.tensor([[0.55, 0.3, 0.15], [0.0, 0.9, 0.1], [0.5, 0.5, 0.0]], dtype=torch.float64)
    clean = torch.tensor([0, 1, 2, 0, 0, 1, 2, 0, 1, 0, 0])
    seeds = 600
    counts = torch.zeros(3, 3, dtype=torch.float64)
    for seed in range(seeds):
        counts += counts_of(clean, noise.corrupt(clean, matrix, exact=exact, generator=seeded(seed)), 3)
    expected = torch.bincount(clean)[:, None] * matrix
    # a cell's standard deviation is at most 1.2 examples; five standard errors of the mean of 600
    assert float((counts / seeds - expected).abs().max()) < 5 * 1.2 / seeds**0.5


def slow(clean: Tensor, matrix: Tensor, generator: torch.Generator) -> Tensor:
    """Go class by class and example by example, each drawn from the running shares of its clean class."""
    noisy = clean.clone()
    for label, row in enumerate(matrix.tolist()):
        for i in (clean == label).nonzero().flatten().tolist():
            draw, total = float(torch.rand((), generator=generator, dtype=torch.float64)), 0.0
            for observed, share in enumerate(row):
                total += share
                if draw < total:
                    noisy[i] = observed
                    break
    return noisy


FORMS = {
    "symmetric": noise.symmetric(0.3, 4),
    "beyond": noise.symmetric(0.9, 4),
    "sparse": noise.pair_flip(0.3, 4),
    "padded": noise.superclass_flip(0.6, [0, 0, 1, 0]),
    "two others": noise.Transition(
        4,
        others=torch.tensor([[1, 2], [0, 1], [3, 1], [3, 3]]),
        shares=torch.tensor([[0.25, 0.5], [0.5, 0], [0.25, 0.5], [0, 0]]),
    ),
    "dense": noise.random_transition(0.5, 4, generator=seeded(0)),
}


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_has_the_frequencies_of_the_slow_loop(form: str, exact: bool) -> None:
    clean = torch.arange(4).repeat(400)[torch.randperm(1600, generator=seeded(3))]
    transition = FORMS[form]
    looped = slow(clean, transition.to_dense(), seeded(1))
    expected = torch.bincount(clean * 4 + looped, minlength=16).view(4, 4) / 400
    result = noise.corrupt(clean, transition, exact=exact, generator=seeded(2))
    made = counts_of(clean, result, 4) / 400
    # the difference of two frequencies of 400 draws, each of 16 within five standard errors
    assert float((made - expected).abs().max()) < 5 * (2 * 0.25 / 400) ** 0.5
    assert float((made - transition.to_dense()).abs().max()) < (1.001 / 400 if exact else 5 * (0.25 / 400) ** 0.5)
    torch.testing.assert_close(result.transition.to_dense(), made, rtol=0, atol=1e-12)


@pytest.mark.parametrize("exact", [True, False])
def test_many_classes(exact: bool) -> None:
    clean = torch.arange(1000).repeat(20)
    for transition in (noise.symmetric(0.4, 1000), noise.pair_flip(0.4, 1000)):
        result = noise.corrupt(clean, transition, exact=exact, generator=seeded(0))
        assert result.noise_rate == pytest.approx(0.4, abs=1e-12 if exact else 0.02)
    steps = (result.noisy_labels - clean) % 1000
    assert set(steps.tolist()) == {0, 1}


@pytest.mark.parametrize("exact", [True, False])
def test_memory_is_not_that_of_examples_times_classes(exact: bool) -> None:
    clean = torch.arange(500).repeat(40)
    for transition in (noise.symmetric(0.4, 500), noise.random_transition(0.4, 500, generator=seeded(0))):
        draw = partial(noise.corrupt, clean, transition, exact=exact, generator=seeded(0))
        assert meter.peak_bytes(draw, torch.device("cpu")) < 20_000 * 500 * 8 / 4


def test_which_class_a_label_becomes_is_not_where_it_stands() -> None:
    clean = torch.zeros(300, dtype=torch.int64)
    matrix = torch.tensor([[0.0, 0.5, 0.5], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    first = torch.stack([noise.corrupt(clean, matrix, generator=seeded(s)).noisy_labels[:100] == 1 for s in range(50)])
    assert float(first.double().mean()) == pytest.approx(0.5, abs=5 * 0.5 / 5000**0.5)
    assert 0 < int(first[0].sum()) < 100


def test_every_example_is_as_likely_to_be_flipped() -> None:
    clean = torch.tensor([0, 1] * 5)
    flips = torch.zeros(10, dtype=torch.float64)
    for seed in range(600):
        flips += noise.corrupt(clean, noise.symmetric(0.3, 2), generator=seeded(seed)).flipped
    assert float((flips / 600 - 0.3).abs().max()) < 5 * (0.21 / 600) ** 0.5


@pytest.mark.parametrize("exact", [True, False])
def test_the_generator_alone_decides(exact: bool) -> None:
    clean = torch.arange(4).repeat(50)
    transition = noise.symmetric(0.4, 4)
    before = torch.get_rng_state()
    first, second, third = (noise.corrupt(clean, transition, exact=exact, generator=seeded(s)) for s in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before), "the global generator is never touched"
    assert torch.equal(first.noisy_labels, second.noisy_labels)
    assert not torch.equal(first.noisy_labels, third.noisy_labels)
    assert torch.equal(clean, torch.arange(4).repeat(50)), "the labels given are left alone"


def test_trap_21_asymmetric_noise_does_not_cascade() -> None:
    clean = torch.arange(10).repeat(100)
    asked = noise.asymmetric_cifar10(0.4)
    realised = noise.corrupt(clean, asked, generator=seeded(0)).transition.to_dense()
    assert float(realised[3, 5]) == float(realised[5, 3]) == pytest.approx(0.4)
    torch.testing.assert_close(realised, asked.to_dense(), rtol=0, atol=1e-12)


def test_trap_22_the_realised_rate_is_the_rate_asked_for() -> None:
    clean = torch.arange(10).repeat(100)
    assert noise.corrupt(clean, noise.symmetric(0.5, 10), generator=seeded(0)).noise_rate == 0.5
    inclusive = noise.symmetric(0.5, 10, inclusive=True)
    assert noise.corrupt(clean, inclusive, generator=seeded(0)).noise_rate == pytest.approx(0.45)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows_that_round_to_a_little_more_than_1_take_from_no_other_class(dtype: torch.dtype) -> None:
    matrix = torch.tensor([[0.0, 0.0, 1.000009], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], dtype=dtype)
    clean = torch.arange(3).repeat_interleave(200_000)
    result = noise.corrupt(clean, matrix, generator=seeded(0))
    assert int(result.flipped.sum()) == 200_000
    assert torch.equal(result.noisy_labels[200_000:], clean[200_000:])


def test_rows_that_round_to_a_little_less_than_1_lose_no_label() -> None:
    matrix = torch.tensor([[0.999991, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    clean = torch.zeros(1_000_000, dtype=torch.int64)
    assert not bool(noise.corrupt(clean, matrix, exact=False, generator=seeded(0)).flipped.any())


def test_a_single_flip_is_spread_by_its_shares() -> None:
    matrix = torch.tensor([[0.0, 0.9, 0.1], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    ones = sum(int(noise.corrupt(torch.tensor([0]), matrix, generator=seeded(s)).noisy_labels) == 1 for s in range(600))
    assert abs(ones / 600 - 0.9) < 5 * (0.09 / 600) ** 0.5


@pytest.mark.parametrize("exact", [True, False])
def test_limits_no_noise_returns_the_labels(exact: bool) -> None:
    clean = torch.tensor([2, 0, 1, 1], dtype=torch.int32)
    for identity in (noise.symmetric(0.0, 3), noise.pair_flip(0.0, 3), torch.eye(3)):
        result = noise.corrupt(clean, identity, exact=exact, generator=seeded(0))
        assert result.noisy_labels.tolist() == [2, 0, 1, 1]
        assert result.noisy_labels.dtype == torch.int64
        assert result.noise_rate == 0
        assert not bool(result.flipped.any())


def test_no_labels() -> None:
    result = noise.corrupt(torch.zeros(0, dtype=torch.int64), noise.symmetric(0.2, 3), generator=seeded(0))
    assert result.noise_rate == 0
    assert len(result.noisy_labels) == 0
    torch.testing.assert_close(result.transition.to_dense(), noise.symmetric(0.2, 3).to_dense())


def test_trap_23_a_transposed_transition_is_refused_with_the_remedy() -> None:
    columns = torch.tensor([[0.9, 0.3], [0.1, 0.7]])
    with pytest.raises(ValueError, match=r"got 1.2 in row 0; its columns sum to 1: transpose it"):
        noise.corrupt(torch.tensor([0, 1]), columns)


@pytest.mark.parametrize(
    ("labels", "transition", "message"),
    [
        (torch.tensor([0, 3]), noise.symmetric(0.1, 3), r"labels: .*below 3.*; got 3 at row 1"),
        (torch.tensor([[0, 1]]), noise.symmetric(0.1, 3), r"labels: shape \(N,\); got \(1, 2\); use labels.flatten"),
        (torch.tensor([0, 1]), torch.full((2, 2), 0.4), "got 0.8 in row 0; divide each row by its sum"),
        (torch.tensor([0, 1]), torch.tensor([[1.5, -0.5], [0, 1]]), r"at least 0; got -0.5 at index \(0, 1\)"),
    ],
)
def test_errors(labels: Tensor, transition: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        noise.corrupt(labels, transition)


def test_left_out_labels_stay() -> None:
    clean = torch.tensor([-100, 7, 0, 1, 2, 0])
    mask = torch.tensor([True, False, True, True, True, True])
    result = noise.corrupt(clean, noise.pair_flip(1.0, 3), mask=mask, generator=seeded(0))
    assert result.noisy_labels.tolist() == [-100, 7, 1, 2, 0, 1]
    assert result.flipped.tolist() == [False, False, True, True, True, True]
    assert result.noise_rate == 1


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.uint16])
def test_trap_39_narrow_labels(dtype: torch.dtype) -> None:
    """In uint8 class 156 is -100, and 256 classes are none."""
    clean = torch.tensor([156, 255]).to(dtype)
    result = noise.corrupt(clean, noise.pair_flip(1.0, 256), generator=seeded(0))
    assert result.noisy_labels.tolist() == [157, 0]


def test_numpy_in_and_out() -> None:
    result = noise.corrupt(np.array([0, 1, 2]), noise.pair_flip(1.0, 3))
    assert isinstance(result.noisy_labels, np.ndarray)
    assert result.noisy_labels.tolist() == [1, 2, 0]
    assert isinstance(result.transition, noise.Transition)


def test_the_text_and_the_dict() -> None:
    result = noise.corrupt(torch.tensor([0, 1]), noise.pair_flip(1.0, 2))
    assert repr(result) == "Corrupted(2 of 2 labels flipped, noise_rate=1, 2 classes)"
    assert json.loads(json.dumps(result.to_dict())) == {
        "noisy_labels": [1, 0],
        "flipped": [True, True],
        "transition": [[0.0, 1.0], [1.0, 0.0]],
        "noise_rate": 1.0,
    }
