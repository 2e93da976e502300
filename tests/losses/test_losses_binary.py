"""binary_cross_entropy: independent sigmoids, with laws of its own since a shift of the logits changes them."""

import math
from typing import Any, cast

import pytest
import torch
import torch.nn.functional as F
from reference import robust as reference
from torch import Tensor

from softtargets import losses

N, K = 5, 4
RATES = torch.linspace(0, 1, N, dtype=torch.float64)
SHARES = {"binary": 0.5, "all": 1 / K}
conventions = pytest.mark.parametrize("convention", SHARES)


def pair(seed: int = 0, scale: float = 2.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(N, K, dtype=torch.float64, generator=generator) * scale
    return logits, torch.rand(N, K, dtype=torch.float64, generator=generator).round()


def worst(values: Tensor, truth: Tensor) -> float:
    return float((values.detach().double() - truth.detach()).abs().max())


def test_a_number_by_hand() -> None:
    # sigmoid(log 3) = 3/4; labels 1, 0 and 1/2
    logits = torch.tensor([[1.0, 1.0, 1.0]], dtype=torch.float64) * math.log(3)
    labels = torch.tensor([[1.0, 0.0, 0.5]])
    whole, half = math.log(4 / 3), math.log(4)
    expected = whole + half + (whole + half) / 2
    assert float(losses.binary_cross_entropy(logits, labels)) == pytest.approx(expected, abs=1e-15)
    # smoothed by .2: the label 1 is .9, or .8 + .2/3
    first = torch.tensor([[1, 0, 0]])
    for convention, one, zero in (("binary", 0.9, 0.1), ("all", 0.8 + 0.2 / 3, 0.2 / 3)):
        found = losses.binary_cross_entropy(logits, first, smoothing=0.2, convention=cast(Any, convention))
        expected = (one + 2 * zero) * whole + (3 - one - 2 * zero) * half
        assert float(found) == pytest.approx(expected, abs=1e-14)


@conventions
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_agrees_with_the_slow_loop(convention: Any, smoothing: float) -> None:
    logits, labels = pair()
    rows = zip(logits.tolist(), labels.tolist(), strict=True)
    expected = [reference.binary(z, y, smoothing, SHARES[convention]) for z, y in rows]
    found = losses.binary_cross_entropy(logits, labels, smoothing=smoothing, convention=convention)
    assert found.tolist() == pytest.approx(expected, abs=1e-12)


@conventions
def test_torch_is_a_second_witness_and_its_mean_is_ours_over_k(convention: Any) -> None:
    logits, labels = pair()
    soft = 0.7 * labels + 0.3 * SHARES[convention]
    theirs = F.binary_cross_entropy_with_logits(logits, soft, reduction="none")
    found = losses.binary_cross_entropy(logits, labels, smoothing=0.3, convention=convention)
    torch.testing.assert_close(found, theirs.sum(-1), rtol=0, atol=1e-13)
    torch.testing.assert_close(found.mean() / K, theirs.mean(), rtol=0, atol=1e-14)
    torch.testing.assert_close(losses.binary_cross_entropy(logits, soft), found, rtol=0, atol=1e-13)


def test_one_label_and_two_logits_are_the_same_classifier() -> None:
    logits, labels = pair()
    two = torch.stack([torch.zeros(N).double(), logits[:, 0]], -1)
    found = losses.binary_cross_entropy(logits[:, :1], labels[:, :1])
    torch.testing.assert_close(found, losses.cross_entropy(two, labels[:, 0].long()), rtol=0, atol=1e-14)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weight", [None, torch.tensor([1.0, 0.0, 2.0, 0.5, 3.0], dtype=torch.float64)])
@conventions
def test_limits(convention: Any, reduction: Any, weight: Tensor | None) -> None:
    hard, wholly = pair()[1], torch.full((N, K), SHARES[convention]).double()
    for smoothing, limit in ((0.0, hard), (torch.zeros(N), hard), (1.0, wholly), (torch.ones(N), wholly)):
        made: list[Tensor] = []
        for labels, settings in ((hard, {"smoothing": smoothing, "convention": convention}), (limit, {})):
            logits = pair()[0].requires_grad_()
            value = losses.reduce(losses.binary_cross_entropy(logits, labels, **settings), reduction, weight=weight)
            made.append(torch.cat([value.reshape(-1), torch.autograd.grad(value.sum(), logits)[0].reshape(-1)]))
        torch.testing.assert_close(made[0], made[1], rtol=0, atol=1e-14)


@conventions
def test_a_smoothing_for_every_example_and_one_that_learns(convention: Any) -> None:
    logits, labels = pair()
    found = losses.binary_cross_entropy(logits, labels, smoothing=RATES, convention=convention)
    rows = zip(logits.tolist(), labels.tolist(), RATES.tolist(), strict=True)
    expected = [reference.binary(z, y, r, SHARES[convention]) for z, y, r in rows]
    assert found.tolist() == pytest.approx(expected, abs=1e-12)
    learned = torch.full((N,), 0.3, dtype=torch.float64, requires_grad=True)
    for leaf, of in (
        (learned, lambda r: losses.binary_cross_entropy(logits, labels, smoothing=r, convention=convention)),
        (torch.full((N, K), 0.4).double().requires_grad_(), lambda y: losses.binary_cross_entropy(logits, y)),
    ):
        assert torch.autograd.gradcheck(of, leaf)


@conventions
def test_gradcheck_twice_and_the_gradient_in_closed_form(convention: Any) -> None:
    logits, labels = pair()
    logits.requires_grad_()
    settings = {"smoothing": 0.2, "convention": convention}
    assert torch.autograd.gradcheck(lambda z: losses.binary_cross_entropy(z, labels, **settings), logits)
    assert torch.autograd.gradgradcheck(lambda z: losses.binary_cross_entropy(z, labels, **settings), logits)
    (gradient,) = torch.autograd.grad(losses.binary_cross_entropy(logits, labels, **settings).sum(), logits)
    expected = logits.detach().sigmoid() - (0.8 * labels + 0.2 * SHARES[convention])
    torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-14)


def test_kinds_of_labels_layouts_renaming_and_splitting() -> None:
    logits, labels = pair()
    whole = losses.binary_cross_entropy(logits, labels, smoothing=RATES)
    for dtype in (torch.bool, torch.uint8, torch.int64, torch.float16, torch.float32):
        assert torch.equal(losses.binary_cross_entropy(logits, labels.to(dtype), smoothing=RATES), whole)
    order = torch.tensor([3, 1, 0, 2])
    close = {"rtol": 0, "atol": 1e-13}
    torch.testing.assert_close(
        losses.binary_cross_entropy(logits[:, order], labels[:, order], smoothing=RATES), whole, **close
    )
    parts = [
        losses.binary_cross_entropy(logits[i : i + 1], labels[i : i + 1], smoothing=RATES[i : i + 1]) for i in range(N)
    ]
    torch.testing.assert_close(torch.cat(parts), whole, **close)
    torch.testing.assert_close(
        losses.binary_cross_entropy(logits.T, labels.T, smoothing=RATES, class_dim=0), whole, **close
    )
    grid = losses.binary_cross_entropy(
        logits.expand(2, N, K).movedim(-1, 1), labels.expand(2, N, K).movedim(-1, 1), class_dim=1
    )
    torch.testing.assert_close(grid[1], losses.binary_cross_entropy(logits, labels), **close)
    one = losses.binary_cross_entropy(logits[2], labels[2], smoothing=RATES[2])
    torch.testing.assert_close(one, whole[2], **close)
    assert losses.binary_cross_entropy(torch.zeros(0, K), torch.zeros(0, K)).shape == (0,)
    assert losses.binary_cross_entropy(logits.to("meta"), labels.to("meta")).shape == (N,)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_logits_stay_finite(dtype: torch.dtype) -> None:
    logits = torch.tensor([[1e4, -1e4, 1e4, -1e4]], dtype=dtype, requires_grad=True)
    found = losses.binary_cross_entropy(logits, torch.tensor([[1, 0, 0, 1]]))
    assert found.tolist() == [2e4]
    assert torch.autograd.grad(found.sum(), logits)[0].tolist() == [[0, 0, 1, -1]]
    certain = torch.tensor([[40.0, -40.0]])  # sigmoid is 1 in float32
    found = losses.binary_cross_entropy(certain, torch.tensor([[1, 0]]))
    assert float(found) == pytest.approx(2 * math.exp(-40), rel=1e-6)


@conventions
def test_trap_04_a_masked_label_is_not_smoothed(convention: Any) -> None:
    logits, labels = pair()
    masked = torch.tensor([False, True, False, False])
    labels = labels * ~masked
    settings = {"smoothing": RATES, "convention": convention}
    hidden = logits.masked_fill(masked, -torch.inf).requires_grad_()
    found = losses.binary_cross_entropy(hidden, labels, **settings)
    (gradient,) = torch.autograd.grad(found.sum(), hidden)
    assert bool((gradient[:, 1] == 0).all())
    kept = logits[:, ~masked].requires_grad_()
    expected = losses.binary_cross_entropy(kept, labels[:, ~masked], **settings)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)
    torch.testing.assert_close(gradient[:, ~masked], torch.autograd.grad(expected.sum(), kept)[0], rtol=0, atol=1e-14)
    nothing = losses.binary_cross_entropy(torch.full((1, 2), -torch.inf), torch.zeros(1, 2), smoothing=0.1)
    assert nothing.tolist() == [0.0]
    impossible = losses.binary_cross_entropy(torch.full((1, 2), -torch.inf), torch.tensor([[0, 1]]), smoothing=0.1)
    assert impossible.tolist() == [math.inf]


@conventions
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_errs_no_more_than_plain_float32(convention: Any, dtype: torch.dtype) -> None:
    logits, labels = pair(3, 4.0)
    half = logits.to(dtype).requires_grad_()
    single, double = half.detach().float().requires_grad_(), half.detach().double().requires_grad_()
    ours = losses.binary_cross_entropy(half, labels, smoothing=0.1, convention=convention)
    soft = 0.9 * labels + 0.1 * SHARES[convention]
    theirs, truth = (
        F.binary_cross_entropy_with_logits(z, soft.to(z.dtype), reduction="none").sum(-1) for z in (single, double)
    )
    assert ours.dtype == torch.float32
    assert worst(ours, truth) <= worst(theirs, truth) + 1e-6
    gradients = [torch.autograd.grad(v.sum(), z)[0] for v, z in ((ours, half), (theirs, single), (truth, double))]
    assert gradients[0].dtype == dtype
    assert worst(gradients[0], gradients[2]) <= worst(gradients[1].to(dtype), gradients[2]) + 1e-6


def test_function_transforms() -> None:
    logits, labels = pair()
    per_example = torch.func.vmap(torch.func.grad(lambda z, y: losses.binary_cross_entropy(z, y, smoothing=0.2)))
    expected = logits.sigmoid() - (0.8 * labels + 0.1)
    torch.testing.assert_close(per_example(logits, labels), expected, rtol=0, atol=1e-14)


ZEROS = torch.zeros(2, 3)
WRONG = {
    "above 1": (
        lambda: losses.binary_cross_entropy(ZEROS, torch.tensor([[0, 1, 0], [1, 2, 3]])),
        r"targets: in \[0, 1\]; got 2 at index \(1, 1\); fix that label, or set it to ignore_index",
    ),
    "nan": (
        lambda: losses.binary_cross_entropy(ZEROS, torch.tensor([[0.0, 0.5, 1.0], [math.nan, 0.0, 0.0]])),
        r"targets: in \[0, 1\]; got nan at index \(1, 0\)",
    ),
    "negative": (lambda: losses.binary_cross_entropy(ZEROS, -torch.ones(2, 3)), r"got -1 at index \(0, 0\)"),
    "shape": (
        lambda: losses.binary_cross_entropy(ZEROS, torch.tensor([0, 2])),
        r"targets: shape \(2, 3\), as the logits; got \(2,\); give 0 or 1 for every class, as .*one_hot",
    ),
    "no tensor": (
        lambda: losses.binary_cross_entropy(ZEROS, cast(Any, [[0, 1, 0]])),
        r"targets: labels or probabilities in a tensor; got list; use torch.tensor\(targets\)",
    ),
    "complex": (
        lambda: losses.binary_cross_entropy(ZEROS, torch.zeros(2, 3, dtype=torch.complex64)),
        "targets: bool, int or float labels; got dtype torch.complex64; use targets.real",
    ),
    "logits": (
        lambda: losses.binary_cross_entropy(ZEROS.long(), ZEROS),
        "logits: a floating-point tensor; got dtype torch.int64; pass the logits first, then the targets",
    ),
    "smoothing": (
        lambda: losses.binary_cross_entropy(ZEROS, ZEROS, smoothing=1.5),
        r"smoothing: in \[0, 1\]; got 1.5; choose a value between 0 and 1",
    ),
    "smoothing of labels": (
        lambda: losses.binary_cross_entropy(ZEROS, ZEROS, smoothing=torch.zeros(3)),
        r"smoothing: a number or shape \(2,\), one per example; got shape \(3,\); reshape smoothing",
    ),
    "convention": (
        lambda: losses.binary_cross_entropy(ZEROS, ZEROS, convention=cast(Any, "al")),
        "convention: one of binary, all; got 'al'; did you mean 'all'?",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_errors(case: str) -> None:
    call, message = WRONG[case]
    with pytest.raises((ValueError, TypeError), match=message):
        call()
