"""Cross entropy with a ghost class for what targets do not name."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from reference import losses as slow
from reference import rules as reference

from softtargets import losses, targets
from softtargets.targets import Targets

LOGITS = torch.randn(5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(6)).mul(2)
TEACHER = torch.randn(5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(5)).mul(2).log_softmax(-1)


def made(k: int = 2) -> Targets:
    return targets.top_k(TEACHER, k=k, residual="drop")


def expected(k: int) -> list[float]:
    kept = made(k)
    assert kept.index is not None
    assert kept.value is not None
    return [
        reference.ghost(slow.softmax(z), dict(zip(i, v, strict=True)))
        for z, i, v in zip(LOGITS.tolist(), kept.index.tolist(), kept.value.tolist(), strict=True)
    ]


@pytest.mark.parametrize("k", [1, 2, 5, 6])
def test_it_is_the_cross_entropy_of_the_coarse_classes(k: int) -> None:
    assert losses.ghost_cross_entropy(LOGITS, made(k)).tolist() == pytest.approx(expected(k), abs=1e-12)


def test_by_hand() -> None:
    teacher = torch.tensor([[0.5, 0.25, 0.125, 0.125]], dtype=torch.float64)
    kept = targets.top_k(teacher.log(), k=2, residual="drop")
    student = torch.tensor([[0.25, 0.25, 0.4, 0.1]], dtype=torch.float64)
    # 0.5 log 4 + 0.25 log 4 + 0.25 log 2
    assert float(losses.ghost_cross_entropy(student.log(), kept).exp()) == pytest.approx(2**1.75, rel=1e-12)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True])
def test_targets_of_mass_1_give_cross_entropy(reduction: Any, weighted: bool) -> None:
    weight = torch.linspace(0, 2, 5, dtype=torch.float64) if weighted else None
    for full in (targets.hard(torch.tensor([1, 0, 5, 2, 2])), made(6)):
        ours, plain = losses.ghost_cross_entropy(LOGITS, full), losses.cross_entropy(LOGITS, full)
        torch.testing.assert_close(
            losses.reduce(ours, reduction, weight=weight), losses.reduce(plain, reduction, weight=weight)
        )


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True])
def test_no_weight_gives_the_others_alone(reduction: Any, weighted: bool) -> None:
    weight = torch.linspace(0, 2, 5, dtype=torch.float64) if weighted else None
    kept = made(2)
    assert kept.index is not None
    assert kept.value is not None
    empty = replace(kept, value=0 * kept.value)
    named = LOGITS.softmax(-1).gather(-1, kept.index).sum(-1)
    torch.testing.assert_close(
        losses.reduce(losses.ghost_cross_entropy(LOGITS, empty), reduction, weight=weight),
        losses.reduce(-(1 - named).log(), reduction, weight=weight),
    )


def test_its_gradient_spreads_what_is_left_as_the_student_does() -> None:
    z = LOGITS.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(losses.ghost_cross_entropy(z, made()).sum(), z)
    p = LOGITS.softmax(-1)
    kept = made()
    assert kept.index is not None
    tail = p.scatter(-1, kept.index, 0.0)
    t = kept.to_dense(6) + (1 - kept.mass())[:, None] * tail / tail.sum(-1, keepdim=True)
    torch.testing.assert_close(gradient, p - t, rtol=0, atol=1e-12)


def test_the_teacher_is_a_minimiser() -> None:
    z = TEACHER.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(losses.ghost_cross_entropy(z, made()).sum(), z)
    assert float(gradient.abs().max()) < 1e-12


@pytest.mark.parametrize("k", [1, 3, 6])
def test_derivatives(k: int) -> None:
    z = LOGITS.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: losses.ghost_cross_entropy(x, made(k)), z)
    assert torch.autograd.gradgradcheck(lambda x: losses.ghost_cross_entropy(x, made(k)), z)


def test_it_ignores_names_and_order_of_classes_and_the_split_of_the_batch() -> None:
    whole = losses.ghost_cross_entropy(LOGITS, made())
    order = torch.tensor([3, 0, 5, 1, 2, 4])
    renamed = targets.top_k(TEACHER[:, order], k=2, residual="drop")
    torch.testing.assert_close(losses.ghost_cross_entropy(LOGITS[:, order] + 7, renamed), whole, rtol=0, atol=1e-12)
    parts = [losses.ghost_cross_entropy(LOGITS[a:b], made()[a:b]) for a, b in ((0, 2), (2, 5))]
    torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=1e-12)


def test_classes_anywhere() -> None:
    grid = LOGITS[:4].reshape(2, 2, 6)
    kept = targets.top_k(TEACHER[:4].reshape(2, 2, 6), k=2, residual="drop")
    moved = losses.ghost_cross_entropy(grid.movedim(-1, 1), kept, class_dim=1)
    torch.testing.assert_close(moved, losses.ghost_cross_entropy(grid, kept))


@pytest.mark.parametrize("scale", [1e4, -1e4])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_extreme_logits(scale: float, dtype: torch.dtype) -> None:
    z = (scale * torch.eye(6)[:5]).to(dtype).requires_grad_()
    loss = losses.ghost_cross_entropy(z, made())
    (gradient,) = torch.autograd.grad(loss.sum(), z)
    assert bool(loss.isfinite().all())
    assert bool(gradient.isfinite().all())


def test_masked_logits_have_no_part() -> None:
    z = LOGITS.clone()
    kept = replace(targets.top_k(TEACHER[:, :5].log_softmax(-1), k=2, residual="drop"), size=None)
    short = losses.ghost_cross_entropy(z[:, :5], kept)
    z[:, 5] = -torch.inf
    z.requires_grad_()
    loss = losses.ghost_cross_entropy(z, kept)
    torch.testing.assert_close(loss, short)
    (gradient,) = torch.autograd.grad(loss.sum(), z)
    assert gradient[:, 5].tolist() == [0] * 5
    masked = replace(kept, valid=torch.tensor([True] * 5 + [False]))
    torch.testing.assert_close(losses.ghost_cross_entropy(LOGITS, masked), short)


def test_ignored_rows_are_0() -> None:
    kept = replace(made(), ignored=torch.tensor([False, True, False, False, False]))
    z = LOGITS.clone()
    z[1] = torch.nan
    z.requires_grad_()
    loss = losses.ghost_cross_entropy(z, kept)
    (gradient,) = torch.autograd.grad(loss.sum(), z)
    assert loss[1].item() == 0
    assert bool(gradient.isfinite().all())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_summed_in_float32(dtype: torch.dtype) -> None:
    half = LOGITS.to(dtype)
    value = losses.ghost_cross_entropy(half, made())
    assert value.dtype == torch.float32
    truth = losses.ghost_cross_entropy(half.double(), made())
    plain = losses.ghost_cross_entropy(half.float(), made())
    assert float((value - truth).abs().max()) <= float((plain - truth).abs().max()) + 1e-7


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            targets.dense(TEACHER.exp()),
            "targets: labels, or factored Targets without a prior; got prob.*; use targets.top_k",
        ),
        (targets.top_k(TEACHER, k=2), "targets: labels, or factored Targets without a prior"),
        (replace(made(), value=torch.full((5, 2), 0.6)), "targets: a mass of at most 1; got 1.2 at row 0"),
        (
            replace(made(), value=torch.tensor([[0.1, 0.1], [0.2, -0.1]]).repeat(3, 1)[:5]),
            r"targets: weights of at least 0; got -0.1 at index \(1, 1\)",
        ),
        (made()[:3], r"targets: shape .*, the shape of the logits without the class dimension; got \(3,\)"),
    ],
)
def test_errors(wrong: Targets, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        losses.ghost_cross_entropy(LOGITS, wrong)


@pytest.mark.parametrize(("mass", "expected"), [(1.0, 0.0), (1 - 5e-4, 0.0), (0.7, torch.inf)])
def test_trap_04_mass_left_for_masked_classes_is_infinite_unless_rounding_left_it(mass: float, expected: float) -> None:
    one = replace(targets.hard(torch.tensor([0])), labels=None, value=torch.tensor([[mass]]).double())
    z = torch.tensor([[0.0, -torch.inf, -torch.inf]], dtype=torch.float64, requires_grad=True)
    loss = losses.ghost_cross_entropy(z, one)
    assert loss.tolist() == [expected]
    assert bool(torch.autograd.grad(loss.sum(), z)[0].isfinite().all())


def test_mass_left_where_every_class_is_named_is_infinite_but_for_ignored_rows() -> None:
    full = made(6)
    assert full.value is not None
    short = replace(full, value=full.value / 2, ignored=torch.tensor([False, True, False, False, False]))
    assert losses.ghost_cross_entropy(LOGITS, short).tolist() == [torch.inf, 0, torch.inf, torch.inf, torch.inf]


def test_labels_are_hard_targets() -> None:
    labels = torch.tensor([1, 0, 5, 2, 2])
    torch.testing.assert_close(losses.ghost_cross_entropy(LOGITS, labels), losses.cross_entropy(LOGITS, labels))
    with pytest.raises(ValueError, match=r"^targets: labels, or factored Targets without a prior; got prob"):
        losses.ghost_cross_entropy(LOGITS, LOGITS)
