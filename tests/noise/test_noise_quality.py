"""Scores of labels: low is suspect."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import noise as reference
from torch import Tensor

from benchmarks.simulated import asymmetric, known, seeded
from softtargets import metrics, noise


def problem(size: int, seed: int, *, singular: bool = False) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = seeded(seed)
    scores = [2 * torch.randn(n, size, generator=generator, dtype=torch.float64) for n in (20, size, 1)]
    probs, transition, prior = (part.softmax(1) for part in scores)
    if singular:
        transition = transition[:1].expand(size, size).contiguous()
    return probs, torch.randint(size, (20,), generator=generator), transition, prior[0]


def test_self_confidence_and_margin_by_hand() -> None:
    probs = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.25, 0.5, 0.25]], dtype=torch.float64)
    labels = torch.tensor([0, 0, 2])
    assert noise.self_confidence(probs, labels).tolist() == [0.5, 0.1, 0.25]
    expected = torch.tensor([0.6, 0.2, 0.375], dtype=torch.float64)
    torch.testing.assert_close(noise.normalized_margin(probs, labels), expected, rtol=0, atol=1e-15)


def test_limits_of_the_margin() -> None:
    probs = torch.tensor([[0.75, 0.25], [0.5, 0.5], [0.0, 1.0]])
    labels = torch.tensor([1, 0, 1])
    assert torch.equal(noise.normalized_margin(probs, labels), noise.self_confidence(probs, labels))
    tie = torch.tensor([[0.4, 0.4, 0.2]])
    assert noise.normalized_margin(tie, torch.tensor([1])).tolist() == [0.5]


@settings(deadline=None, database=None, max_examples=50)
@given(st.integers(2, 6), st.integers(0, 2**31), st.booleans(), st.sampled_from([1, 20]))
def test_the_posterior_is_the_slow_loops(size: int, seed: int, singular: bool, rounds: int) -> None:
    probs, labels, transition, prior = problem(size, seed, singular=singular)
    for start, given_prior in (([1 / size] * size, None), (prior.tolist(), prior)):
        found = noise.label_posterior(probs, labels, transition, class_prior=given_prior, rounds=rounds)
        rows = zip(probs.tolist(), labels.tolist(), strict=True)
        expected = [reference.label_posterior(row, y, transition.tolist(), start, rounds) for row, y in rows]
        torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)


def test_the_posterior_nears_bayes_rule_where_probabilities_are_exact() -> None:
    data = known(4000, asymmetric(), distance=3)
    own = data.posterior.gather(1, data.labels[:, None])[:, 0] * data.transition.diagonal()[data.labels]
    bayes = own / data.probs.gather(1, data.labels[:, None])[:, 0]
    errors = [
        float((noise.label_posterior(data.probs, data.labels, data.transition, rounds=rounds) - bayes).abs().mean())
        for rounds in (20, 200, 2000)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] < 0.06
    assert errors[2] < 0.002


def test_it_ranks_better_than_self_confidence_where_classes_are_wrong_at_different_rates() -> None:
    data = known(4000, asymmetric(), distance=3)
    wrong = data.labels != data.clean
    posterior = noise.label_posterior(data.probs, data.labels, data.transition)
    plain = noise.self_confidence(data.probs, data.labels)
    assert float(metrics.auroc(-posterior, wrong)) > 0.99 > 0.95 > float(metrics.auroc(-plain, wrong))


def test_limits_of_the_posterior() -> None:
    probs, labels, _, prior = problem(4, 0)
    identity = noise.label_posterior(probs, labels, noise.symmetric(0.0, 4))
    torch.testing.assert_close(identity, torch.ones(20, dtype=torch.float64))
    nothing = noise.symmetric(1.0, 4, inclusive=True)
    torch.testing.assert_close(noise.label_posterior(probs, labels, nothing, class_prior=prior), prior[labels])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_trap_24_no_inverse_is_taken_of_an_ill_conditioned_transition(dtype: torch.dtype) -> None:
    """The solution of q T = probs has entries in the millions; what is returned is a probability, and hardly moves."""
    eye = torch.eye(3, dtype=torch.float64)
    flat = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64).expand(3, 3)
    transition = 1e-7 * eye + (1 - 1e-7) * flat
    probs = torch.tensor([[0.6, 0.3, 0.1]], dtype=torch.float64)
    assert float(torch.linalg.solve(transition.T, probs[0]).abs().max()) > 1e5
    found = noise.label_posterior(probs.to(dtype), torch.tensor([0]), transition)
    moved = noise.label_posterior((probs + torch.tensor([[-1e-3, 0, 1e-3]])).to(dtype), torch.tensor([0]), transition)
    assert 0.33 < float(found) < 0.34, "T says nothing, so that the prior stands"
    torch.testing.assert_close(moved, found, rtol=0, atol=1e-4)


def test_probabilities_that_no_clean_ones_explain_give_probabilities() -> None:
    transition = noise.symmetric(0.4, 3)
    probs = torch.eye(3).repeat(3, 1)  # sharper than any row of T
    labels = torch.arange(3).repeat_interleave(3)
    found = noise.label_posterior(probs, labels, transition)
    assert bool(((found >= 0) & (found <= 1)).all())
    assert bool((found[probs.argmax(1) == labels] > 0.99).all())
    assert bool((found[probs.argmax(1) != labels] < 0.01).all())


def test_an_impossible_label_has_probability_0() -> None:
    transition = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert noise.label_posterior(torch.tensor([[1.0, 0.0]]), torch.tensor([1]), transition).tolist() == [0]


def test_the_posterior_needs_a_transition_and_a_prior_of_its_classes() -> None:
    probs, labels, transition, _ = problem(4, 0)
    with pytest.raises(ValueError, match=r"transition: 4 classes, as in probs; got 3; estimate it for these classes"):
        noise.label_posterior(probs, labels, noise.symmetric(0.1, 3))
    with pytest.raises(ValueError, match=r"class_prior: 4 classes; got 2"):
        noise.label_posterior(probs, labels, transition, class_prior=torch.tensor([0.5, 0.5]))
    with pytest.raises(ValueError, match=r"class_prior: a sum of 1; got 2"):
        noise.label_posterior(probs, labels, transition, class_prior=torch.full((4,), 0.5))
    with pytest.raises(ValueError, match=r"rounds: .*got 0; use at least 1 step"):
        noise.label_posterior(probs, labels, transition, rounds=0)
    with pytest.raises(TypeError, match=r"rounds: an int of at least 1; got 2.5; use at least 1 step"):
        noise.label_posterior(probs, labels, transition, rounds=2.5)  # pyright: ignore[reportArgumentType]


def test_order_goes_by_quality_then_by_row() -> None:
    quality = torch.tensor([0.5, 0.1, 0.5, 0.1, 0.9])
    assert noise.suspect_order(quality).tolist() == [1, 3, 0, 2, 4]
    assert noise.suspect_order(quality, mask=torch.tensor([True, False, True, True, False])).tolist() == [3, 0, 2]
    assert noise.suspect_order(quality, mask=torch.zeros(5, dtype=torch.bool)).tolist() == []
    assert noise.suspect_order(torch.ones(1000)).tolist() == list(range(1000))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_order_is_that_of_the_numbers_whatever_their_sign(dtype: torch.dtype) -> None:
    numbers = torch.randn(5000, generator=seeded(0)).to(dtype).round(decimals=2)
    numbers[:6] = torch.tensor([0.0, -0.0, torch.inf, -torch.inf, 1e-8, -1e-8])
    assert torch.equal(noise.suspect_order(numbers), numbers.double().argsort(stable=True))


@pytest.mark.parametrize(
    ("quality", "mask", "message"),
    [
        (
            torch.tensor([0.1, torch.nan]),
            None,
            "quality: numbers without NaN; got nan at row 1; leave such examples out by mask",
        ),
        (torch.ones(2, 2), None, r"quality: shape \(N,\); got \(2, 2\)"),
        (torch.ones(2), torch.ones(3, dtype=torch.bool), r"mask: shape \(2,\), one per row; got \(3,\)"),
        (torch.ones(2), torch.ones(2), "mask: a bool tensor.*; got dtype torch.float32"),
    ],
)
def test_errors_of_the_order(quality: Tensor, mask: Tensor | None, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        noise.suspect_order(quality, mask=mask)


SCORES = {
    "self_confidence": noise.self_confidence,
    "normalized_margin": noise.normalized_margin,
    "label_posterior": lambda probs, labels, **options: noise.label_posterior(
        probs, labels, noise.symmetric(0.2, probs.shape[options.get("class_dim", -1)]), **options
    ),
}


@pytest.mark.parametrize("name", SCORES)
def test_left_out_examples_have_no_score(name: str) -> None:
    probs, labels, _, _ = problem(4, 0)
    expected = SCORES[name](probs, labels)
    given, mask = labels.clone(), torch.arange(20) != 3
    probs = probs.clone()
    given[0], probs[0] = -100, torch.nan
    found = SCORES[name](probs, given, mask=mask)
    assert found.isnan().nonzero().flatten().tolist() == [0, 3]
    kept = ~found.isnan()
    torch.testing.assert_close(found[kept], expected[kept])
    order = noise.suspect_order(found, mask=kept)
    assert order.tolist() == [row for row in noise.suspect_order(expected).tolist() if row not in (0, 3)]


@pytest.mark.parametrize("name", SCORES)
def test_scores_of_images(name: str) -> None:
    probs, labels, _, _ = problem(4, 0)
    expected = SCORES[name](probs, labels)
    found = SCORES[name](probs.view(2, 10, 4).movedim(-1, 1), labels.view(2, 10), class_dim=1)
    torch.testing.assert_close(found, expected.view(2, 10))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
def test_narrow_labels(dtype: torch.dtype) -> None:
    probs = torch.full((2, 300), 1 / 300)
    for score in SCORES.values():
        assert score(probs, torch.tensor([156, 200]).to(dtype)).isnan().sum() == 0
