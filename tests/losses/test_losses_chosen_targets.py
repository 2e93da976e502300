"""Losses that are cross entropy with a chosen target: MaxSup, CORES, bootstrapping, peer loss.

What they have in common: numbers by hand, slow loops, the target of each, and the minimiser. What is particular to one
of them stands in the tests of its file.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from reference import losses as reference
from reference import penalties as slow
from small_batch import (
    CLOSE,
    LABELS,
    RATES,
    K,
    N,
    every_reduction,
    fused_calls,
    gradient,
    logits_of,
    same,
    with_or_without_weights,
)
from torch import Tensor

from softtargets import losses

PRIOR = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64)
UNIFORM = [1 / K] * K
CLEAN = torch.tensor([0.5, 0.3, 0.15, 0.05], dtype=torch.float64)


@dataclass(frozen=True)
class Case:
    """The loss of some rows; the slow loop for one; and the target, dense, that it is the cross entropy of."""

    loss: Callable[..., Tensor]
    slow: Callable[[list[float], int, int], float]
    target: Callable[[Tensor, Tensor, Tensor], Tensor]
    exact: bool = True  # whether its gradient is that of its values


def rates(rows: Tensor) -> Tensor:
    """Return rates(rows), also where vmap has one row at a time."""
    return rows.double() / (N - 1)


def one_hot(index: Tensor, like: Tensor) -> Tensor:
    return torch.nn.functional.one_hot(index, like.shape[-1]).to(like.dtype)


def suppressed(z: Tensor, y: Tensor, r: Any) -> Tensor:
    return one_hot(y, z) + r / K - r * one_hot(z.argmax(-1), z)


CASES = {
    "max_suppression": Case(
        lambda z, y, rows, **k: losses.max_suppression_loss(z, y, smoothing=0.3, **k),
        lambda z, y, i: slow.max_suppression(z, y, 0.3),
        lambda z, y, rows: suppressed(z, y, 0.3),
    ),
    "max_suppression of each": Case(
        lambda z, y, rows, **k: losses.max_suppression_loss(z, y, smoothing=rates(rows), **k),
        lambda z, y, i: slow.max_suppression(z, y, float(RATES[i])),
        lambda z, y, rows: suppressed(z, y, rates(rows)[..., None].to(z.dtype)),
    ),
    "cores": Case(
        lambda z, y, rows, **k: losses.cores_loss(z, y, weight=0.7, **k),
        lambda z, y, i: slow.cores(z, y, 0.7, UNIFORM),
        lambda z, y, rows: one_hot(y, z) - 0.7 / K,
    ),
    "cores of a prior": Case(
        lambda z, y, rows, **k: losses.cores_loss(z, y, weight=2 * rates(rows), prior=PRIOR, **k),
        lambda z, y, i: slow.cores(z, y, 2 * float(RATES[i]), PRIOR.tolist()),
        lambda z, y, rows: one_hot(y, z) - (2 * rates(rows)[..., None] * PRIOR).to(z.dtype),
    ),
    "soft": Case(
        lambda z, y, rows, **k: losses.bootstrapped_cross_entropy(z, y, weight=0.6, **k),
        lambda z, y, i: slow.bootstrapped(z, y, 0.6, "soft"),
        lambda z, y, rows: 0.6 * one_hot(y, z) + 0.4 * z.softmax(-1),
    ),
    "soft detached": Case(
        lambda z, y, rows, **k: losses.bootstrapped_cross_entropy(z, y, weight=rates(rows), detach=True, **k),
        lambda z, y, i: slow.bootstrapped(z, y, float(RATES[i]), "soft"),
        lambda z, y, rows: (
            rates(rows)[..., None].to(z.dtype) * one_hot(y, z)
            + (1 - rates(rows)[..., None]).to(z.dtype) * z.detach().softmax(-1)
        ),
        exact=False,
    ),
    "hard": Case(
        lambda z, y, rows, **k: losses.bootstrapped_cross_entropy(z, y, weight=rates(rows), kind="hard", **k),
        lambda z, y, i: slow.bootstrapped(z, y, float(RATES[i]), "hard"),
        lambda z, y, rows: (
            rates(rows)[..., None].to(z.dtype) * one_hot(y, z)
            + (1 - rates(rows)[..., None]).to(z.dtype) * one_hot(z.argmax(-1), z)
        ),
    ),
}
every_case = pytest.mark.parametrize("name", CASES)
ALL = torch.arange(N)

# p = (1/2, 1/4, 1/4) and z = (log 2, 0, 0)
HAND = torch.tensor([[math.log(2.0), 0.0, 0.0]], dtype=torch.float64)
ONE = torch.tensor([1])
LN2 = math.log(2.0)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (losses.max_suppression_loss(HAND, ONE, smoothing=0.3), 2 * LN2 + 0.3 * (LN2 - LN2 / 3)),
        # all losses are (1, 2, 2) log 2
        (losses.cores_loss(HAND, ONE, weight=0.6), 2 * LN2 - 0.6 * 5 / 3 * LN2),
        (losses.cores_loss(HAND, ONE, weight=2.0, prior=torch.tensor([0.5, 0.25, 0.25])), 2 * LN2 - 2 * 1.5 * LN2),
        (losses.bootstrapped_cross_entropy(HAND, ONE, weight=0.6), (0.6 * 2 + 0.4 * 1.5) * LN2),
        (losses.bootstrapped_cross_entropy(HAND, ONE, weight=0.8, kind="hard"), (0.8 * 2 + 0.2) * LN2),
        (losses.peer_loss(HAND, ONE, weight=0.5, pool=(HAND, torch.tensor([0]))), 2 * LN2 - 0.5 * LN2),
    ],
    ids=["max_suppression", "cores", "cores of a prior", "soft", "hard", "peer"],
)
def test_by_hand(loss: Tensor, expected: float) -> None:
    assert float(loss) == pytest.approx(expected, abs=1e-15)


@every_case
def test_agrees_with_the_slow_loop(name: str) -> None:
    logits, case = logits_of(), CASES[name]
    rows = zip(logits.tolist(), LABELS.tolist(), range(N), strict=True)
    expected = [case.slow(z, y, i) for z, y, i in rows]
    assert case.loss(logits, LABELS, ALL).tolist() == pytest.approx(expected, abs=1e-12)


@every_case
def test_the_gradient_is_mass_p_less_the_target(name: str) -> None:
    case, logits = CASES[name], logits_of()
    if name == "soft":
        return  # its target learns: gradcheck has it
    target = case.target(logits, LABELS, ALL)
    expected = target.sum(-1, keepdim=True) * logits.softmax(-1) - target
    torch.testing.assert_close(gradient(lambda z: case.loss(z, LABELS, ALL), logits), expected, **CLOSE)


@every_case
def test_gradcheck(name: str) -> None:
    case = CASES[name]
    if case.exact:
        logits = logits_of().requires_grad_()
        assert torch.autograd.gradcheck(lambda z: case.loss(z, LABELS, ALL), logits)
        assert torch.autograd.gradgradcheck(lambda z: case.loss(z, LABELS, ALL), logits)


@every_case
def test_invariance_to_shift_renaming_split_and_layout(name: str) -> None:
    case, logits = CASES[name], logits_of()
    whole = case.loss(logits, LABELS, ALL)
    torch.testing.assert_close(case.loss(logits + 37.5, LABELS, ALL), whole, **CLOSE)
    if name != "cores of a prior":
        order = torch.tensor([3, 1, 0, 2])
        torch.testing.assert_close(case.loss(logits[:, order], order.argsort()[LABELS], ALL), whole, **CLOSE)
    parts = [case.loss(logits[i : i + 1], LABELS[i : i + 1], ALL[i : i + 1]) for i in range(N)]
    torch.testing.assert_close(torch.cat(parts), whole, **CLOSE)
    channels_second = logits.view(2, 3, K).movedim(-1, 1)
    grid = case.loss(channels_second, LABELS.view(2, 3), ALL.view(2, 3), class_dim=1)
    torch.testing.assert_close(grid, whole.view(2, 3), **CLOSE)
    assert torch.equal(case.loss(logits, LABELS.to(torch.uint8), ALL), whole)


@every_case
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_logits_stay_finite(name: str, dtype: torch.dtype) -> None:
    logits = torch.tensor([[1e4, -1e4, 0.0, 1.0]], dtype=dtype).expand(4, K).clone().requires_grad_()
    value = CASES[name].loss(logits, torch.arange(4), torch.arange(4))
    assert bool(value.isfinite().all())
    assert bool(torch.autograd.grad(value.sum(), logits)[0].isfinite().all())


@every_case
def test_trap_04_a_masked_class_has_no_part(name: str) -> None:
    if name == "cores of a prior":
        return  # the prior is of four classes, the slow loop below of three
    case, kept = CASES[name], [0, 2, 3]
    logits = logits_of().masked_fill(torch.tensor([False, True, False, False]), -torch.inf)
    labels = torch.tensor([2, 0, 3, 0, 2, 0])
    # over K - 1 classes r is spread over three
    rows = zip(logits[:, kept].tolist(), [kept.index(int(y)) for y in labels], range(N), strict=True)
    if name == "cores":
        expected = [slow.cores(z, y, 0.7, [1 / 3] * 3) for z, y, _ in rows]
    else:
        expected = [case.slow(z, y, i) for z, y, i in rows]
    assert case.loss(logits, labels, ALL).tolist() == pytest.approx(expected, abs=1e-12)
    made = gradient(lambda z: case.loss(z, labels, ALL), logits)
    assert bool(made.isfinite().all())
    assert bool((made[:, 1] == 0).all())


def worst(values: Tensor, truth: Tensor) -> float:
    return float((values.detach().double() - truth.detach()).abs().max())


@every_case
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_errs_no_more_than_the_plain_path(name: str, dtype: torch.dtype) -> None:
    case, half = CASES[name], logits_of(5).to(dtype)
    truth = case.loss(half.double(), LABELS, ALL)
    plain = -(case.target(half, LABELS, ALL) * half.log_softmax(-1)).sum(-1)
    ours = case.loss(half, LABELS, ALL)
    assert ours.dtype == torch.float32
    assert worst(ours, truth) <= worst(plain, truth) + 1e-6
    assert worst(ours, case.loss(half.float(), LABELS, ALL)) <= 1e-6


@every_case
def test_function_transforms(name: str) -> None:
    case, logits = CASES[name], logits_of()
    whole = gradient(lambda z: case.loss(z, LABELS, ALL), logits)
    each = torch.func.vmap(torch.func.grad(case.loss))(logits, LABELS, ALL)
    torch.testing.assert_close(each, whole, **CLOSE)


LIMITS: dict[str, Callable[[Tensor], Tensor]] = {
    "max_suppression at 0": lambda z: losses.max_suppression_loss(z, LABELS, smoothing=0.0),
    "cores at 0": lambda z: losses.cores_loss(z, LABELS, weight=0.0),
    "peer at 0": lambda z: losses.peer_loss(z, LABELS, weight=0.0),
    "soft at 1": lambda z: losses.bootstrapped_cross_entropy(z, LABELS, weight=1.0),
    "soft, at 1": lambda z: losses.bootstrapped_cross_entropy(z, LABELS, weight=1.0),
    "hard at 1": lambda z: losses.bootstrapped_cross_entropy(z, LABELS, weight=1.0, kind="hard"),
}


@pytest.mark.parametrize("name", LIMITS)
@every_reduction
@with_or_without_weights
def test_limits_that_are_cross_entropy(name: str, reduction: str, weight: Tensor | None) -> None:
    same(reduction, weight, LIMITS[name], lambda z: losses.cross_entropy(z, LABELS), atol=1e-12)


def test_an_empty_batch_is_empty() -> None:
    nothing, none = torch.zeros(0, K), torch.zeros(0, dtype=torch.int64)
    for loss in (losses.peer_loss, losses.max_suppression_loss, losses.bootstrapped_cross_entropy, losses.cores_sieve):
        assert loss(nothing, none).shape == (0,)
    assert losses.cores_loss(nothing, none, weight=1.0).shape == (0,)


# where the minimum is


def descend(risk: Callable[[Tensor], Tensor], steps: int = 1500) -> Tensor:
    """Return softmax of the free logits at the end of a plain descent, which needs the gradient alone."""
    logits = torch.zeros(K, dtype=torch.float64, requires_grad=True)
    for _ in range(steps):
        (slope,) = torch.autograd.grad(risk(logits), logits)
        with torch.no_grad():
            logits -= slope
    return logits.detach().softmax(-1)


def expected(loss: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Return the expected loss of one logit vector when labels follow CLEAN."""
    return lambda logits: (CLEAN * loss(logits.expand(K, K), torch.arange(K))).sum()


TOP = torch.tensor([1.0, 0, 0, 0], dtype=torch.float64)
MINIMISERS = {
    "max_suppression": (lambda z, y: losses.max_suppression_loss(z, y, smoothing=0.1), CLEAN + 0.1 / K - 0.1 * TOP),
    "cores": (lambda z, y: losses.cores_loss(z, y, weight=0.15), (CLEAN - 0.15 / K) / 0.85),
    "cores of a prior": (lambda z, y: losses.cores_loss(z, y, weight=0.4, prior=PRIOR), (CLEAN - 0.4 * PRIOR) / 0.6),
    "soft detached": (lambda z, y: losses.bootstrapped_cross_entropy(z, y, weight=0.8, detach=True), CLEAN),
    "hard": (lambda z, y: losses.bootstrapped_cross_entropy(z, y, weight=0.8, kind="hard"), 0.8 * CLEAN + 0.2 * TOP),
}


@pytest.mark.parametrize("name", MINIMISERS)
def test_descent_ends_at_the_intended_distribution(name: str) -> None:
    loss, intended = MINIMISERS[name]
    torch.testing.assert_close(descend(expected(loss)), intended, rtol=0, atol=1e-6)


def test_a_soft_target_that_learns_ends_more_certain_than_the_labels() -> None:
    def loss(z: Tensor, y: Tensor) -> Tensor:
        return losses.bootstrapped_cross_entropy(z, y, weight=0.8)

    found = descend(expected(loss), steps=3000)
    entropy = -(found * found.log()).sum()
    slope = 0.8 * (found - CLEAN) - 0.2 * found * (found.log() + entropy)
    assert float(slope.abs().max()) < 1e-9
    assert float(found[0]) > float(CLEAN[0])
    assert bool((found[1:] < CLEAN[1:]).all())


def test_cores_beyond_its_regime_is_unbounded() -> None:
    # 0.3 / 4 is more than the 0.05 of the last class: its logit falls for ever
    risk = expected(lambda z, y: losses.cores_loss(z, y, weight=0.3))
    values = [float(risk(torch.tensor([0.0, 0, 0, -depth], dtype=torch.float64))) for depth in (1e2, 1e4, 1e6)]
    assert values[0] > values[1] > values[2]
    assert values[2] < -1e4


def test_errors() -> None:
    logits, labels = torch.zeros(2, 3), torch.tensor([0, 1])
    out_of_range = torch.tensor([0, 3])
    for loss in (
        losses.max_suppression_loss,
        losses.peer_loss,
        losses.cores_sieve,
        losses.bootstrapped_cross_entropy,
        lambda z, y: losses.cores_loss(z, y, weight=1.0),
        lambda z, y: losses.bootstrapped_cross_entropy(z, y, kind="hard"),
    ):
        with pytest.raises(ValueError, match=r"(labels|targets): .*below 3.*; got 3 at row 1; fix or drop"):
            loss(logits, out_of_range)
        with pytest.raises(ValueError, match=r": shape \(2,\).*; got \(3,\); give one"):
            loss(logits, torch.tensor([0, 1, 2]))
        with pytest.raises(TypeError, match=r"logits: a floating-point tensor; got dtype torch.int64"):
            loss(logits.long(), labels)


def test_reference_targets_are_what_they_are_called() -> None:
    """The dense targets of the cases, against the slow loop of cross entropy."""
    logits = logits_of()
    for case in CASES.values():
        dense = case.target(logits, LABELS, ALL).tolist()
        made = [reference.cross_entropy(z, t) for z, t in zip(logits.tolist(), dense, strict=True)]
        assert case.loss(logits, LABELS, ALL).tolist() == pytest.approx(made, abs=1e-12)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (losses.bootstrapped_cross_entropy, [False]),
        (losses.peer_loss, [False, True]),  # the label's own part is the mean's; the drawn one's is not
    ],
)
def test_a_gradient_that_is_not_the_means_is_computed_once(
    loss: Any, expected: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = fused_calls(monkeypatch)
    value = loss(logits_of().requires_grad_(), LABELS)
    assert made == expected
    value.mean().backward()
    assert made == [*expected, True]
