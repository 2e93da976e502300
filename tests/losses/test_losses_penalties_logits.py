"""Penalties of the logits themselves: hand-worked numbers, slow loops, and what a shift does to each."""

import math
from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from reference import penalties as slow
from torch import Tensor

from softtargets import losses

N, K = 6, 4
CLOSE: Any = {"rtol": 0, "atol": 1e-12}
WEIGHTS = torch.tensor([1.0, 0.0, 2.0, 0.5, 1.0, 3.0], dtype=torch.float64)
every_reduction = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
with_or_without_weights = pytest.mark.parametrize("weight", [None, WEIGHTS], ids=["plain", "weighted"])

ACLS = losses.acls_penalty
PENALTIES: dict[str, tuple[Callable[..., Tensor], Callable[[list[float]], float]]] = {
    "logit": (losses.logit_penalty, slow.squares),
    "margin": (lambda z, **k: losses.mbls_penalty(z, margin=1.5, **k), lambda z: slow.margin(z, 1.5)),
    "margin 0": (lambda z, **k: losses.mbls_penalty(z, margin=0.0, **k), lambda z: slow.margin(z, 0.0)),
    "margin 10": (losses.mbls_penalty, lambda z: slow.margin(z, 10.0)),
    "acls": (
        lambda z, **k: ACLS(z, margin=1.5, largest_weight=0.7, others_weight=0.4, **k),
        lambda z: slow.adaptive_conditional(z, 1.5, 0.7, 0.4),
    ),
    "acls 10": (ACLS, lambda z: slow.adaptive_conditional(z, 10.0, 1.0, 0.1)),
}
every_penalty = pytest.mark.parametrize("name", PENALTIES)


def logits_of(seed: int = 0, scale: float = 5.0) -> Tensor:
    return torch.randn(N, K, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * scale


def gradient(loss: Callable[[Tensor], Tensor], logits: Tensor) -> Tensor:
    leaf = logits.detach().clone().requires_grad_()
    return torch.autograd.grad(loss(leaf).sum(), leaf)[0]


def reduced(values: Tensor, reduction: str, weight: Tensor | None) -> Tensor:
    return losses.reduce(values, cast(Any, reduction), weight=weight)


def test_by_hand() -> None:
    logits = torch.tensor([[14.0, -2.0, 3.0]], dtype=torch.float64)
    assert float(losses.logit_penalty(logits)) == 196 + 4 + 9
    assert float(losses.mbls_penalty(logits)) == pytest.approx((6 + 1) / 3, abs=1e-15)
    assert float(ACLS(logits)) == pytest.approx(36 + 0.1 * (36 + 1) / 2, abs=1e-14)


@every_penalty
def test_agrees_with_the_slow_loop(name: str) -> None:
    penalty, loop = PENALTIES[name]
    logits = logits_of()
    values = penalty(logits)
    assert values.tolist() == pytest.approx([loop(z) for z in logits.tolist()], abs=1e-12)
    assert float(values.max()) > 0


@every_penalty
def test_gradcheck(name: str) -> None:
    logits = logits_of().requires_grad_()
    assert torch.autograd.gradcheck(PENALTIES[name][0], logits)
    assert torch.autograd.gradgradcheck(PENALTIES[name][0], logits)


@every_penalty
def test_invariance_to_renaming_split_and_layout(name: str) -> None:
    penalty, logits = PENALTIES[name][0], logits_of()
    whole = penalty(logits)
    torch.testing.assert_close(penalty(logits[:, torch.tensor([3, 1, 0, 2])]), whole, **CLOSE)
    torch.testing.assert_close(torch.cat([penalty(logits[i : i + 1]) for i in range(N)]), whole, **CLOSE)
    grid = penalty(logits.view(2, 3, K).movedim(-1, 1), class_dim=1)
    torch.testing.assert_close(grid, whole.view(2, 3), **CLOSE)
    each = torch.func.vmap(torch.func.grad(penalty))(logits)
    torch.testing.assert_close(each, gradient(penalty, logits), **CLOSE)


@every_penalty
def test_a_shift_of_the_logits_changes_the_logit_penalty_alone(name: str) -> None:
    penalty, logits = PENALTIES[name][0], logits_of()
    moved = (penalty(logits + 37.5) - penalty(logits)).abs().max()
    slope = gradient(penalty, logits).sum(-1).abs().max()
    assert (float(moved) < 1e-11) == (name != "logit")
    assert (float(slope) < 1e-11) == (name != "logit")


@every_penalty
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_one_finite_number_per_example_in_at_least_float32(name: str, dtype: torch.dtype) -> None:
    penalty = PENALTIES[name][0]
    half = logits_of(5).to(dtype)
    values = penalty(half)
    assert values.shape == (N,)
    assert values.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(values.double(), penalty(half.double()), rtol=1e-6, atol=1e-6)
    extreme = torch.tensor([[1e4, -1e4, 0.0, 1.0]], dtype=dtype)
    assert bool(penalty(extreme).isfinite().all())
    made = gradient(penalty, extreme)
    assert made.dtype == dtype
    if not (dtype == torch.float16 and name.startswith("acls")):  # the gradient, 4e4 and more, is beyond float16
        assert bool(made.isfinite().all())


@every_penalty
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_errs_no_more_than_the_plain_path(name: str, dtype: torch.dtype) -> None:
    half = logits_of(5).to(dtype)
    below = half.amax(-1, keepdim=True) - half

    def squared(margin: float, on_largest: float, on_others: float) -> Tensor:
        beyond = (below - margin).relu()
        return on_largest * beyond.amax(-1).square() + on_others * beyond.square().sum(-1) / (K - 1)

    plain = {
        "logit": lambda: half.square().sum(-1),
        "margin": lambda: (below - 1.5).relu().mean(-1),
        "margin 0": lambda: below.relu().mean(-1),
        "margin 10": lambda: (below - 10).relu().mean(-1),
        "acls": lambda: squared(1.5, 0.7, 0.4),
        "acls 10": lambda: squared(10.0, 1.0, 0.1),
    }[name]()
    truth, ours = PENALTIES[name][0](half.double()), PENALTIES[name][0](half).double()
    assert float((ours - truth).abs().max()) <= float((plain.double() - truth).abs().max()) + 1e-6


@every_penalty
def test_trap_04_a_masked_class_has_no_part(name: str) -> None:
    penalty, loop = PENALTIES[name]
    logits = logits_of().masked_fill(torch.tensor([False, True, False, False]), -torch.inf)
    expected = [loop(z) for z in logits[:, [0, 2, 3]].tolist()]
    assert penalty(logits).tolist() == pytest.approx(expected, abs=1e-12)
    made = gradient(penalty, logits)
    assert bool(made.isfinite().all())
    assert bool((made[:, 1] == 0).all())


@every_reduction
@with_or_without_weights
def test_limits_of_the_logit_penalty(reduction: str, weight: Tensor | None) -> None:
    assert bool((reduced(losses.logit_penalty(torch.zeros(N, K)), reduction, weight) == 0).all())
    once = reduced(losses.logit_penalty(logits_of()), reduction, weight)
    torch.testing.assert_close(reduced(losses.logit_penalty(3 * logits_of()), reduction, weight), 9 * once)


@every_reduction
@with_or_without_weights
def test_limits_logits_within_the_margin_are_free(reduction: str, weight: Tensor | None) -> None:
    spread = logits_of()
    spread = 9.9 * (spread - spread.amin(-1, keepdim=True)) / (spread.amax(-1) - spread.amin(-1))[:, None]
    for penalty in (losses.mbls_penalty, ACLS):
        logits = spread.clone().requires_grad_()
        value = reduced(penalty(logits), reduction, weight)
        assert bool((value == 0).all())
        assert bool((torch.autograd.grad(value.sum(), logits)[0] == 0).all())
    nothing = ACLS(logits_of(), margin=0.0, largest_weight=0.0, others_weight=0.0)
    assert bool((reduced(nothing, reduction, weight) == 0).all())


@every_reduction
@with_or_without_weights
def test_limits_no_margin_gives_the_push_of_max_suppression(reduction: str, weight: Tensor | None) -> None:
    logits, labels = logits_of(), torch.tensor([2, 0, 3, 1, 2, 0])
    push = losses.max_suppression_loss(logits, labels, smoothing=1.0) - losses.cross_entropy(logits, labels)
    ours = reduced(losses.mbls_penalty(logits, margin=0.0), reduction, weight)
    torch.testing.assert_close(ours, reduced(push, reduction, weight), **CLOSE)
    torch.testing.assert_close(ours, reduced(logits.amax(-1) - logits.mean(-1), reduction, weight), **CLOSE)


def test_the_two_weights_are_of_the_two_terms() -> None:
    logits = logits_of()
    first = ACLS(logits, margin=1.0, largest_weight=2.0, others_weight=0.0)
    torch.testing.assert_close(first, 2 * (logits.amax(-1) - logits.amin(-1) - 1).relu().square(), **CLOSE)
    second = ACLS(logits, margin=1.0, largest_weight=0.0, others_weight=3.0)
    below = (logits.amax(-1, keepdim=True) - logits - 1).relu().square()
    torch.testing.assert_close(second, below.sum(-1), **CLOSE)  # 3 / (K - 1) = 1


def test_errors() -> None:
    logits = torch.zeros(2, 3)
    for penalty in (losses.mbls_penalty, ACLS):
        with pytest.raises(ValueError, match=r"margin: at least 0; got -1; choose 0 or more"):
            penalty(logits, margin=-1.0)
        with pytest.raises(ValueError, match=r"margin: at least 0; got nan; choose 0 or more"):
            penalty(logits, margin=math.nan)
    with pytest.raises(ValueError, match=r"largest_weight: at least 0; got -1"):
        ACLS(logits, largest_weight=-1.0)
    with pytest.raises(ValueError, match=r"others_weight: at least 0; got -1"):
        ACLS(logits, others_weight=-1.0)
    for penalty in (losses.logit_penalty, losses.mbls_penalty, ACLS):
        with pytest.raises(TypeError, match=r"logits: a floating-point tensor; got dtype torch.int64"):
            penalty(logits.long())
        with pytest.raises(ValueError, match="logits: at least 2 classes; got 1 in dimension 1; set class_dim"):
            penalty(torch.zeros(2, 1, 3), class_dim=1)


@pytest.mark.parametrize("penalty", [losses.mbls_penalty, ACLS])
def test_a_row_without_a_class_is_0_with_gradient_0(penalty: Any) -> None:
    z = torch.tensor([[-math.inf, -math.inf], [30.0, 0.0]], dtype=torch.float64, requires_grad=True)
    value = penalty(z)
    (gradient,) = torch.autograd.grad(value.sum(), z)
    assert value[0].item() == 0
    assert gradient[0].tolist() == [0, 0]
    assert bool(gradient.isfinite().all())
