"""Transitions by name."""

import numpy as np
import pytest
import torch
from reference import losses as reference

from softtargets import noise


@pytest.mark.parametrize("num_classes", [2, 3, 10, 97])
@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5, 1.0])
def test_exclusive_noise_flips_to_the_others_alike(rate: float, num_classes: int) -> None:
    made = noise.symmetric(rate, num_classes)
    expected = torch.tensor(reference.symmetric_transition(rate, num_classes), dtype=torch.float64)
    torch.testing.assert_close(made.to_dense(), expected, rtol=0, atol=1e-15)
    assert float(made.noise_rate()) == pytest.approx(rate, abs=1e-14)
    noise.Transition.wrap(made.to_dense())  # is accepted where it came from


def test_trap_22_inclusive_and_exclusive_are_said_and_the_rate_is_what_it_is() -> None:
    exclusive, inclusive = noise.symmetric(0.5, 10), noise.symmetric(0.5, 10, inclusive=True)
    assert float(exclusive.noise_rate()) == pytest.approx(0.5)
    assert float(inclusive.noise_rate()) == pytest.approx(0.45)
    assert exclusive.redraw == pytest.approx(0.5 * 10 / 9)
    assert inclusive.redraw == 0.5
    same = noise.symmetric(0.5 * 9 / 10, 10)
    torch.testing.assert_close(same.to_dense(), inclusive.to_dense(), rtol=0, atol=1e-15)


def test_limits() -> None:
    assert torch.equal(noise.symmetric(0, 3).to_dense(), torch.eye(3, dtype=torch.float64))
    nothing = noise.symmetric(1.0, 4, inclusive=True).to_dense()
    torch.testing.assert_close(nothing, torch.full((4, 4), 0.25, dtype=torch.float64))


def test_the_rate_under_a_class_prior() -> None:
    pair = torch.tensor([[0.6, 0.4], [0.0, 1.0]])
    assert float(noise.Transition.wrap(pair).noise_rate()) == pytest.approx(0.2)
    weighted = noise.Transition.wrap(pair).noise_rate(torch.tensor([0.9, 0.1]))
    assert float(weighted) == pytest.approx(0.36)


@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan"), torch.tensor(2.0)])
def test_a_rate_is_a_fraction(rate: float, inclusive: bool) -> None:
    with pytest.raises(ValueError, match=r"rate: in \[0, 1\]; got (-0.1|1.1|nan|2); choose a value between 0 and 1"):
        noise.symmetric(rate, 3, inclusive=inclusive)


def test_classes() -> None:
    with pytest.raises(ValueError, match="num_classes: at least 2; got 1; pass the number of classes"):
        noise.symmetric(0.1, 1)
    with pytest.raises(TypeError, match=r"num_classes: an int of at least 2; got 3.0"):
        noise.symmetric(0.1, 3.0)  # pyright: ignore[reportArgumentType]


CIFAR10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.45, 1.0])
@pytest.mark.parametrize("num_classes", [2, 3, 10, 1000])
def test_pair_flip(rate: float, num_classes: int) -> None:
    made = noise.pair_flip(rate, num_classes)
    expected = torch.eye(num_classes, dtype=torch.float64)
    torch.testing.assert_close(made.to_dense(), (1 - rate) * expected + rate * expected.roll(1, 1), rtol=0, atol=1e-15)
    assert made.others is not None
    assert made.others.shape == (num_classes, 1), "no matrix is held"
    assert float(made.noise_rate()) == pytest.approx(rate, abs=1e-12)


def test_asymmetric_cifar10_by_name() -> None:
    matrix = noise.asymmetric_cifar10(0.4).to_dense()
    found = {
        (CIFAR10[k], CIFAR10[j]): round(float(matrix[k, j]), 12)
        for k in range(10)
        for j in range(10)
        if matrix[k, j] > 0
    }
    flips = [("truck", "automobile"), ("bird", "airplane"), ("deer", "horse"), ("cat", "dog"), ("dog", "cat")]
    stay = ["airplane", "automobile", "frog", "horse", "ship"]
    expected = dict.fromkeys(flips, 0.4) | {(a, a): 0.6 for a, _ in flips} | {(name, name): 1.0 for name in stay}
    assert found == expected
    assert float(noise.asymmetric_cifar10(0.4).noise_rate()) == pytest.approx(0.2)


def test_superclass_flip_goes_round_each_superclass() -> None:
    # classes 0, 3 and 5 of superclass 7; 1 and 4 of 2; 2 alone
    made = noise.superclass_flip(0.25, [7, 2, 0, 7, 2, 7])
    becomes = {0: 3, 3: 5, 5: 0, 1: 4, 4: 1}
    expected = torch.eye(6, dtype=torch.float64)
    for clean, observed in becomes.items():
        expected[clean, clean], expected[clean, observed] = 0.75, 0.25
    assert torch.equal(made.to_dense(), expected)
    assert torch.equal(noise.superclass_flip(0.25, torch.tensor([7, 2, 0, 7, 2, 7])).to_dense(), expected)


def test_limits_of_flips() -> None:
    for made in (
        noise.pair_flip(0.0, 4),
        noise.superclass_flip(0.0, [0, 0, 1, 1]),
        noise.superclass_flip(0.3, range(4)),
    ):
        assert torch.equal(made.to_dense(), torch.eye(4, dtype=torch.float64))
    assert torch.equal(noise.asymmetric_cifar10(0.0).to_dense(), torch.eye(10, dtype=torch.float64))
    one = noise.superclass_flip(0.3, [5, 5, 5, 5])
    assert torch.equal(one.to_dense(), noise.pair_flip(0.3, 4).to_dense())
    renamed = noise.pair_flip(1.0, 4).to_dense()
    assert torch.equal(renamed, torch.eye(4, dtype=torch.float64).roll(1, 1))


def test_confusion_counts_become_rows() -> None:
    counts = torch.tensor([[3, 1, 0], [0, 0, 5], [2, 2, 4]])
    expected = torch.tensor([[0.75, 0.25, 0.0], [0.0, 0.0, 1.0], [0.25, 0.25, 0.5]], dtype=torch.float64)
    for given in (counts, counts.float(), counts.to(torch.uint8)):
        assert torch.equal(noise.from_confusion(given).to_dense(), expected)
    assert torch.equal(noise.from_confusion(expected).to_dense(), expected)  # Limits
    assert torch.equal(noise.from_confusion(torch.diag(torch.tensor([1, 7]))).to_dense(), torch.eye(2).double())


def test_an_empty_class_of_a_confusion_is_refused_or_keeps_its_labels() -> None:
    counts = torch.tensor([[3, 1], [0, 0]])
    with pytest.raises(
        ValueError, match=r"confusion: examples of every clean class; got none in row 1; add .* keep_em"
    ):
        noise.from_confusion(counts)
    assert noise.from_confusion(counts, keep_empty=True).to_dense().tolist() == [[0.75, 0.25], [0.0, 1.0]]


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.5, 0.93, 1.0])
@pytest.mark.parametrize("num_classes", [2, 3, 10])
def test_a_random_transition_has_the_rate_exactly(rate: float, num_classes: int) -> None:
    prior = torch.arange(1, num_classes + 1) / (num_classes * (num_classes + 1) / 2)
    for seed in range(5):
        for given in (None, prior):
            generator = torch.Generator().manual_seed(seed)
            made = noise.random_transition(rate, num_classes, class_prior=given, generator=generator)
            assert float(made.noise_rate(given)) == pytest.approx(rate, abs=1e-7)
            noise.Transition.wrap(made.to_dense())


def test_a_random_transition_is_the_generators_and_its_rows_differ() -> None:
    first, again, other = (
        noise.random_transition(0.4, 5, generator=torch.Generator().manual_seed(seed)).to_dense() for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    off = first[~torch.eye(5, dtype=torch.bool)]
    assert len(off.unique()) == 20
    assert len(first.diagonal().unique()) == 5


def test_dirichlet_rows_have_the_moments_of_their_distribution() -> None:
    generator = torch.Generator().manual_seed(0)
    made = torch.stack([noise.random_transition(0.5, 4, generator=generator).to_dense() for _ in range(2000)])
    shares = made[:, 0, 1:] / made[:, 0, 1:].sum(1, keepdim=True)
    # of three: mean 1/3, variance (1/3)(2/3)/4 = 1/18
    assert shares.mean(0).tolist() == pytest.approx([1 / 3] * 3, abs=5 * (1 / 18 / 2000) ** 0.5)
    assert shares.var(0).tolist() == pytest.approx([1 / 18] * 3, abs=0.006)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: noise.pair_flip(1.5, 3), r"rate: in \[0, 1\]; got 1.5"),
        (lambda: noise.pair_flip(0.5, 1), "num_classes: at least 2; got 1"),
        (lambda: noise.asymmetric_cifar10(-0.5), r"rate: in \[0, 1\]; got -0.5"),
        (lambda: noise.superclass_flip(float("nan"), [0, 0]), r"rate: in \[0, 1\]; got nan"),
        (lambda: noise.superclass_flip(0.1, [0]), "num_classes: at least 2; got 1"),
        (lambda: noise.superclass_flip(0.1, [0, -1]), "superclasses: labels of at least 0; got -1 at row 1"),
        (lambda: noise.superclass_flip(0.1, torch.zeros(2, 2).long()), r"superclasses: shape \(K,\); got \(2, 2\)"),
        (lambda: noise.superclass_flip(0.1, torch.zeros(3)), "superclasses: integer labels .*; got dtype"),
        (lambda: noise.from_confusion([[1, 2]]), r"confusion: a \(K, K\) tensor of counts; got list"),  # pyright: ignore
        (lambda: noise.from_confusion(torch.ones(2, 3)), r"confusion: a \(K, K\) matrix; got shape \(2, 3\)"),
        (lambda: noise.from_confusion(torch.ones(1, 1)), "num_classes: at least 2; got 1"),
        (
            lambda: noise.from_confusion(torch.tensor([[1, 2], [-1, 3]])),
            r"confusion: counts of at least 0; got -1 at index \(1, 0\); fix that entry",
        ),
        (lambda: noise.from_confusion(torch.full((2, 2), torch.inf)), r"got inf at index \(0, 0\)"),
        (lambda: noise.random_transition(2.0, 3), r"rate: in \[0, 1\]; got 2"),
        (lambda: noise.random_transition(0.2, 1), "num_classes: at least 2; got 1"),
        (
            lambda: noise.random_transition(0.2, 3, class_prior=torch.tensor([0.5, 0.5])),
            "class_prior: 3 classes; got 2; give one probability per class",
        ),
    ],
)
def test_errors_of_the_named_transitions(make, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        make()


def test_a_rate_of_symmetric_noise_is_one_number() -> None:
    """A rate for each class would make a matrix whose rows do not sum to 1."""
    for function in (noise.symmetric, noise.pair_flip, noise.random_transition):
        with pytest.raises(ValueError, match=r"^rate: one number in \[0, 1\]; got a tensor of shape \(3,\)"):
            function(torch.tensor([0.1, 0.2, 0.3]), 3)  # pyright: ignore[reportArgumentType]
    assert float(noise.symmetric(torch.tensor(0.2), 3).noise_rate()) == pytest.approx(0.2)


def test_numpy_numbers_and_arrays() -> None:
    expected = noise.symmetric(0.25, 4).to_dense()
    torch.testing.assert_close(noise.symmetric(np.float32(0.25), np.int64(4)).to_dense(), expected)  # pyright: ignore[reportArgumentType]
    assert torch.equal(noise.from_confusion(np.eye(3)).to_dense(), torch.eye(3, dtype=torch.float64))
    assert torch.equal(
        noise.superclass_flip(0.5, np.array([0, 1, 0], dtype=np.uint8)).to_dense(),
        noise.superclass_flip(0.5, [0, 1, 0]).to_dense(),
    )


def test_a_seed_in_place_of_a_generator_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^generator: .*; got int; use torch\.Generator"):
        noise.random_transition(0.2, 3, generator=0)  # pyright: ignore[reportArgumentType]
