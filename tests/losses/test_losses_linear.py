"""Cross entropy of a linear layer against the layer followed by the cross entropy."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from reference import losses as reference
from torch import Tensor
from torch.nn import functional

from softtargets import losses, targets
from softtargets.losses._engine.cross_entropy import plain_cross_entropy
from softtargets.losses.inputs import LossInputs
from softtargets.targets import Targets

N, H, K = 13, 3, 6
generator = torch.Generator().manual_seed(2)
LABELS = torch.randint(K, (N,), generator=generator)
RATES = torch.rand(N, generator=generator, dtype=torch.float64)
TABLE = torch.randn(K, K, generator=generator, dtype=torch.float64)
IGNORED = LABELS.masked_fill(torch.arange(N) % 3 == 1, -100)

MAKERS: dict[str, Callable[[], Targets]] = {
    "hard": lambda: targets.hard(LABELS),
    "smoothed": lambda: targets.smooth(LABELS, RATES),
    "table": lambda: targets.from_table(LABELS, TABLE),
    "ignored": lambda: targets.smooth(targets.hard(IGNORED, ignore_index=-100), 0.1),
    "all ignored": lambda: targets.hard(torch.full((N,), -100), ignore_index=-100),
}
MADE = pytest.mark.parametrize("made", [maker() for maker in MAKERS.values()], ids=list(MAKERS))


def inputs(dtype: torch.dtype = torch.float64) -> list[Tensor]:
    drawn = torch.Generator().manual_seed(1)
    shapes = ((N, H), (K, H), (K,))
    return [torch.randn(s, generator=drawn, dtype=torch.float64).to(dtype).requires_grad_() for s in shapes]


def whole(hidden: Tensor, weight: Tensor, bias: Tensor | None, made: Targets) -> Tensor:
    return plain_cross_entropy(LossInputs(functional.linear(hidden, weight, bias), None, made, made.ignored))


def test_by_hand() -> None:
    hidden, weight = torch.tensor([[1.0, 2.0]]).double(), torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]).double()
    loss = losses.linear_cross_entropy(hidden, weight, torch.tensor([1]))  # logits 1, 2, 3
    assert float(loss) == pytest.approx(1.4076059644443801, abs=1e-14)


def test_against_the_slow_loop() -> None:
    hidden, weight, bias = (tensor.detach() for tensor in inputs())
    ours = losses.linear_cross_entropy(hidden, weight, targets.smooth(LABELS, 0.3), bias=bias, chunk=4)
    for i in range(N):
        logits = [
            sum(h * w for h, w in zip(hidden[i].tolist(), row, strict=True)) + b
            for row, b in zip(weight.tolist(), bias.tolist(), strict=True)
        ]
        expected = reference.cross_entropy(logits, reference.smoothed(int(LABELS[i]), 0.3, K))
        assert float(ours[i]) == pytest.approx(expected, abs=1e-12)


UPSTREAM = {
    "mean": torch.full((N,), 1 / N).double(),
    "sum": torch.ones(N).double(),
    "zero": torch.zeros(N).double(),
    "any": RATES - 0.5,
    "counted": torch.where(torch.arange(N) % 3 == 1, 0.0, 0.25).double(),
}


@MADE
@pytest.mark.parametrize("chunk", [None, 1, 4, 100])
@pytest.mark.parametrize("upstream", UPSTREAM.values(), ids=list(UPSTREAM))
def test_value_and_gradients_are_those_of_the_two_in_turn(made: Targets, chunk: int | None, upstream: Tensor) -> None:
    given = inputs()
    hidden, weight, bias = given
    ours = losses.linear_cross_entropy(hidden, weight, made, bias=bias, chunk=chunk)
    theirs = whole(hidden, weight, bias, made)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-13)
    expected = torch.autograd.grad(theirs, given, upstream)
    for _ in range(2):  # a graph that is kept gives its gradient again
        found = torch.autograd.grad(ours, given, upstream, retain_graph=True)
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("learning", [(0,), (1,), (0, 1), (1, 2)], ids=str)
def test_what_does_not_learn_gets_no_gradient(learning: tuple[int, ...]) -> None:
    given = [tensor.detach().requires_grad_(i in learning) for i, tensor in enumerate(inputs())]
    losses.linear_cross_entropy(given[0], given[1], LABELS, bias=given[2]).mean().backward()
    assert [i for i, tensor in enumerate(given) if tensor.grad is not None] == list(learning)
    with torch.no_grad():
        assert not losses.linear_cross_entropy(given[0], given[1], LABELS).requires_grad


def test_the_gradient_has_a_gradient() -> None:
    given = [tensor.detach()[:4].clone().requires_grad_() for tensor in inputs()]
    few = LABELS[:4] % 4

    def loss(hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return losses.linear_cross_entropy(hidden, weight, few, bias=bias, chunk=3)

    assert torch.autograd.gradcheck(loss, given)
    assert torch.autograd.gradgradcheck(loss, given)


def test_many_gradients_at_once() -> None:
    given = inputs()
    upstream = torch.randn(3, N, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    value = losses.linear_cross_entropy(given[0], given[1], targets.smooth(LABELS, RATES), bias=given[2])
    found = torch.autograd.grad(value, given, upstream, is_grads_batched=True, retain_graph=True)
    for i, one in enumerate(upstream):
        expected = torch.autograd.grad(value, given, one, retain_graph=True)
        for each, other in zip(found, expected, strict=True):
            torch.testing.assert_close(each[i], other)


def test_an_empty_batch_gives_gradients_of_zero_as_often_as_asked() -> None:
    hidden, weight, _ = inputs()
    total = losses.linear_cross_entropy(hidden[:0], weight, LABELS[:0]).sum()
    for _ in range(2):
        (found,) = torch.autograd.grad(total, weight, retain_graph=True)
        assert not bool(found.any())


def test_tokens_in_batches_and_a_single_example() -> None:
    hidden, weight, bias = inputs()
    tokens, labels = hidden[:12].reshape(2, 2, 3, H), LABELS[:12].reshape(2, 2, 3)
    flat = losses.linear_cross_entropy(hidden[:12], weight, LABELS[:12], bias=bias)
    for chunk in (None, 1, 2, 4, 7):
        ours = losses.linear_cross_entropy(tokens, weight, labels, bias=bias, chunk=chunk)
        torch.testing.assert_close(ours, flat.view(2, 2, 3), rtol=1e-13, atol=1e-13)
        found = torch.autograd.grad(ours.mean(), (hidden, weight), retain_graph=True)
        expected = torch.autograd.grad(flat.mean(), (hidden, weight), retain_graph=True)
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-13)
    one = losses.linear_cross_entropy(hidden[0], weight, LABELS[0], bias=bias)
    assert one.shape == ()
    torch.testing.assert_close(one, flat[0], rtol=1e-13, atol=1e-13)
    assert losses.linear_cross_entropy(hidden[:0], weight, LABELS[:0]).shape == (0,)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_in_half_precision_the_error_is_not_above_that_of_the_two_in_turn(dtype: torch.dtype) -> None:
    drawn = torch.Generator().manual_seed(8)
    rows, width, size = 256, 16, 200  # a power of two: dividing by it rounds nothing, on either side
    exact = [torch.randn(s, generator=drawn) for s in ((rows, width), (size, width))]
    labels = torch.randint(size, (rows,), generator=drawn)

    def gradients(loss: Callable[[Tensor, Tensor], Tensor], dtype: torch.dtype) -> list[Tensor]:
        given = [tensor.to(dtype0).to(dtype).requires_grad_() for tensor in exact]
        value = loss(*given)
        return [value.detach(), *torch.autograd.grad(value.mean(), given)]

    dtype0 = dtype
    ours = gradients(lambda h, w: losses.linear_cross_entropy(h, w, labels), dtype)
    theirs = gradients(lambda h, w: whole(h, w, None, targets.hard(labels)), dtype)
    truth = gradients(lambda h, w: whole(h, w, None, targets.hard(labels)), torch.float64)
    assert ours[0].dtype == torch.float32
    for one, other, true in zip(ours, theirs, truth, strict=True):
        error, allowed = (float((value.double() - true).square().mean().sqrt()) for value in (one, other))
        assert error <= 1.02 * allowed


def test_autocast_takes_the_products_in_its_precision_and_the_losses_in_float32() -> None:
    hidden, weight, bias = inputs(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        ours = losses.linear_cross_entropy(hidden, weight, LABELS, bias=bias)
        theirs = whole(hidden, weight, bias, targets.hard(LABELS))
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    found = torch.autograd.grad(ours.mean(), (hidden, weight, bias))
    expected = torch.autograd.grad(theirs.mean(), (hidden, weight, bias))
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == torch.float32
        torch.testing.assert_close(one, other, rtol=2e-2, atol=2e-3)


def test_transforms_and_learning_targets_take_the_plain_path() -> None:
    hidden, weight, _ = (tensor.detach() for tensor in inputs())
    each = torch.func.vmap(lambda h, y: losses.linear_cross_entropy(h, weight, y))(hidden, LABELS)
    torch.testing.assert_close(each, losses.linear_cross_entropy(hidden, weight, LABELS), rtol=1e-13, atol=1e-13)
    rate = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
    loss = losses.linear_cross_entropy(hidden, weight, targets.smooth(LABELS, rate)).mean()
    assert torch.autograd.grad(loss, rate)[0] != 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight": torch.zeros(1, H)}, r"weight: shape \(K, H\) with K >= 2; got \(1, 3\)"),
        ({"weight": torch.zeros(K, 2)}, r"hidden: shape \(..., 2\), as weight; got \(13, 3\)"),
        ({"bias": torch.zeros(2)}, r"bias: shape \(6,\), one per class; got \(2,\)"),
        ({"chunk": 0}, r"chunk: at least 1; got 0; give the number of rows"),
        ({"chunk": 2.0}, r"chunk: an int of at least 1; got 2.0"),
        ({"targets": LABELS + 3}, r"targets: labels of at least 0 and below 6.*at row"),
        ({"targets": LABELS[:3]}, r"targets: shape \(13,\); got \(3,\); give one per example"),
        ({"hidden": torch.zeros(N, H, dtype=torch.long)}, r"hidden: a floating-point tensor"),
    ],
)
def test_bad_input(change: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {"hidden": torch.zeros(N, H), "weight": torch.zeros(K, H), "targets": LABELS}
    with pytest.raises((ValueError, TypeError), match=message):
        losses.linear_cross_entropy(**(good | change))
