"""Linear cross entropy in blocks of classes against the layer followed by the cross entropy."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from softtargets import losses, targets
from softtargets.losses._engine import linear_blocks
from softtargets.losses._engine.cross_entropy import plain_cross_entropy
from softtargets.losses.inputs import LossInputs
from softtargets.targets import Targets

N, H, K = 37, 5, 23
HALF = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
drawn = torch.Generator().manual_seed(5)
LABELS = torch.randint(K - 3, (N,), generator=drawn)
VALID = torch.arange(K) < K - 2
RATES = torch.rand(N, generator=drawn, dtype=torch.float64)
TABLE = torch.randn(K, K, generator=drawn, dtype=torch.float64)
DENSE = torch.rand(N, K, generator=drawn).softmax(-1)
PRIOR = torch.rand(K, generator=drawn, dtype=torch.float64).softmax(-1)
MASK = torch.arange(N) % 3 != 1

MAKERS: dict[str, Callable[[], Targets]] = {
    "hard": lambda: targets.hard(LABELS),
    "smoothed": lambda: targets.smooth(LABELS, RATES),
    "prior": lambda: targets.smooth(LABELS, 0.2, prior=PRIOR),
    "valid": lambda: targets.smooth(LABELS, 0.2, valid=VALID),
    "valid per row": lambda: targets.smooth(LABELS, 0.2, valid=VALID.expand(N, K).clone()),
    "two labels": lambda: targets.mix(targets.hard(LABELS), targets.hard(LABELS.flip(0)), 0.3),
    "table": lambda: targets.from_table(LABELS, TABLE),
    "dense": lambda: targets.dense(DENSE),
    "ignored": lambda: targets.smooth(targets.hard(LABELS.masked_fill(~MASK, -100), ignore_index=-100), 0.1),
    "all ignored": lambda: targets.hard(torch.full((N,), -100), ignore_index=-100),
}
EVERY = pytest.mark.parametrize("name", MAKERS)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut the small layer into several blocks, the last one smaller."""
    monkeypatch.setattr(linear_blocks, "FEWEST", 1)
    monkeypatch.setattr(linear_blocks, "BLOCK", 8 * H)


def layer(dtype: torch.dtype) -> list[Tensor]:
    g = torch.Generator().manual_seed(1)
    return [torch.randn(s, generator=g).mul(1.5).to(dtype).requires_grad_() for s in ((N, H), (K, H), (K,))]


def ours(made: Targets, dtype: torch.dtype, upstream: Tensor, **more: Any) -> list[Tensor]:
    given = layer(dtype)
    value = losses.linear_cross_entropy(given[0], given[1], made, bias=given[2], **more)
    return [value.detach(), *torch.autograd.grad(value, given, upstream.to(value.dtype))]


def theirs(made: Targets, dtype: torch.dtype, upstream: Tensor) -> list[Tensor]:
    """Return the numbers in float32, from logits that are rounded as the layer rounds them."""
    exact = [tensor.detach().float().requires_grad_() for tensor in layer(dtype)]
    whole = functional.linear(*exact)
    whole = whole + (whole.detach().to(dtype).float() - whole.detach())
    value = plain_cross_entropy(LossInputs(whole, None, made, made.ignored))
    return [value.detach(), *torch.autograd.grad(value, exact, upstream.to(value.dtype))]


def near(found: list[Tensor], expected: list[Tensor]) -> None:
    torch.testing.assert_close(found[0], expected[0], rtol=2e-6, atol=1e-5)
    for one, other in zip(found[1:], expected[1:], strict=True):
        assert one.dtype != torch.float32
        largest = float(other.abs().max())
        torch.testing.assert_close(one.float(), other, rtol=2 * torch.finfo(one.dtype).eps, atol=1e-5 * largest + 1e-7)


@HALF
@EVERY
@pytest.mark.parametrize("chunk", [None, 1, 10])
def test_value_and_gradients_are_those_of_the_two_in_turn(name: str, chunk: int | None, dtype: torch.dtype) -> None:
    made = MAKERS[name]()
    for upstream in (torch.full((N,), 1 / N), RATES - 0.5, torch.zeros(N)):
        near(ours(made, dtype, upstream, chunk=chunk), theirs(made, dtype, upstream))


@EVERY
def test_products_in_half_precision_agree(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made, upstream = MAKERS[name](), RATES - 0.5
    expected = ours(made, torch.bfloat16, upstream)
    monkeypatch.setattr(linear_blocks, "product_dtype", lambda dtype: dtype)
    found = ours(made, torch.bfloat16, upstream)
    torch.testing.assert_close(found[0], expected[0], rtol=2e-2, atol=5e-2)
    for one, other in zip(found[1:], expected[1:], strict=True):
        torch.testing.assert_close(one.float(), other.float(), rtol=5e-2, atol=5e-2 * float(other.abs().max() + 1e-6))


@HALF
@pytest.mark.parametrize("name", ["hard", "smoothed", "prior"])
def test_a_class_whose_bias_is_minus_infinity_has_no_part(name: str, dtype: torch.dtype) -> None:
    made = MAKERS[name]()
    given = layer(dtype)
    with torch.no_grad():
        given[2][K - 2] = -torch.inf
    value = losses.linear_cross_entropy(given[0], given[1], made, bias=given[2])
    logits = functional.linear(*(tensor.detach().float() for tensor in given)).to(dtype)
    torch.testing.assert_close(value, losses.cross_entropy(logits, made), rtol=1e-5, atol=1e-5)
    found = torch.autograd.grad(value.sum(), given)
    assert all(bool(one.isfinite().all()) for one in found)
    assert not bool(found[1][K - 2].any())
    assert not bool(found[2][K - 2].any())


@pytest.mark.parametrize("learning", [(0,), (1,), (2,), (0, 2)], ids=str)
def test_what_does_not_learn_gets_no_gradient(learning: tuple[int, ...]) -> None:
    given = [tensor.detach().requires_grad_(i in learning) for i, tensor in enumerate(layer(torch.bfloat16))]
    losses.linear_cross_entropy(given[0], given[1], LABELS, bias=given[2]).mean().backward()
    assert [i for i, tensor in enumerate(given) if tensor.grad is not None] == list(learning)
    with torch.no_grad():
        assert not losses.linear_cross_entropy(given[0], given[1], LABELS).requires_grad


def test_a_graph_that_is_kept_and_one_that_is_differentiated_again() -> None:
    given = layer(torch.bfloat16)
    value = losses.linear_cross_entropy(given[0], given[1], LABELS, bias=given[2], reduction="mean")
    first = torch.autograd.grad(value, given, retain_graph=True)
    second = torch.autograd.grad(value, given, retain_graph=True)
    again = torch.autograd.grad(value, given, create_graph=True)
    for one, other, third in zip(first, second, again, strict=True):
        assert torch.equal(one, other)
        assert third.requires_grad
        torch.testing.assert_close(one, third.detach(), rtol=2e-2, atol=2e-3)


def test_many_gradients_at_once() -> None:
    given = layer(torch.bfloat16)
    upstream = torch.randn(3, N, generator=torch.Generator().manual_seed(1))
    value = losses.linear_cross_entropy(given[0], given[1], targets.smooth(LABELS, RATES), bias=given[2])
    found = torch.autograd.grad(value, given, upstream, is_grads_batched=True, retain_graph=True)
    for i, one in enumerate(upstream):
        for each, other in zip(found, torch.autograd.grad(value, given, one, retain_graph=True), strict=True):
            torch.testing.assert_close(each[i], other, rtol=3e-2, atol=3e-2 * float(other.abs().max()))


def test_tokens_in_batches_one_example_and_none() -> None:
    hidden, weight, _ = layer(torch.bfloat16)
    flat = losses.linear_cross_entropy(hidden[:36], weight, LABELS[:36])
    tokens = losses.linear_cross_entropy(hidden[:36].view(2, 3, 6, H), weight, LABELS[:36].view(2, 3, 6))
    assert torch.equal(tokens.flatten(), flat)
    for one, other in zip(*(torch.autograd.grad(v.mean(), (hidden, weight)) for v in (flat, tokens)), strict=True):
        assert torch.equal(one, other)
    assert losses.linear_cross_entropy(hidden[0], weight, LABELS[0]).shape == ()
    none = losses.linear_cross_entropy(hidden[:0], weight, LABELS[:0])
    assert none.shape == (0,)
    assert not bool(torch.autograd.grad(none.sum(), weight)[0].any())


def test_targets_that_change_before_the_backward_pass_raise() -> None:
    hidden, weight, _ = layer(torch.bfloat16)
    labels = LABELS.clone()
    value = losses.linear_cross_entropy(hidden, weight, labels)
    labels[0] = (labels[0] + 1) % K
    with pytest.raises(RuntimeError, match="targets: must not change"):
        value.sum().backward()
