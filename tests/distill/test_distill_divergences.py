"""Divergences: numbers by hand, slow loops, top-k teachers with their tail, and draws."""

import math
from typing import Any

import pytest
import torch
from reference.distill import divergence as kl
from reference.distill import softened
from reference.losses import softmax
from teacher_rows import top_rows
from torch import Tensor

from softtargets import targets
from softtargets.distill import TeacherRows, divergence_loss, kd_loss

N, K = 7, 6
GENERATOR = torch.Generator().manual_seed(3)
STUDENT, TEACHER = (torch.randn(N, K, generator=GENERATOR, dtype=torch.float64).mul(2) for _ in range(2))
LABELS = torch.tensor([0, 1, 2, 3, 4, 5, 0])
NAMES = ("forward_kl", "reverse_kl", "jensen_shannon", "skewed_kl", "skewed_reverse_kl")


def reference(name: str, p: list[float], q: list[float], skew: float) -> float:
    def mix(share: float, a: list[float], b: list[float]) -> list[float]:
        return [share * x + (1 - share) * y for x, y in zip(a, b, strict=True)]

    return {
        "forward_kl": lambda: kl(p, q),
        "reverse_kl": lambda: kl(q, p),
        "jensen_shannon": lambda: kl(p, mix(0.5, p, q)) / 2 + kl(q, mix(0.5, p, q)) / 2,
        "skewed_kl": lambda: kl(p, mix(skew, p, q)),
        "skewed_reverse_kl": lambda: kl(q, mix(1 - skew, p, q)),
    }[name]()


def top(k: int, logits: Tensor = TEACHER, temperature: float = 1.0) -> TeacherRows:
    return top_rows(k, logits, temperature)


def coarse(probs: list[float], classes: list[int]) -> list[float]:
    return [*(probs[c] for c in classes), math.fsum(p for c, p in enumerate(probs) if c not in classes)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("temperature", "scale"), [(1.0, "squared"), (2.5, "squared"), (2.5, "none")])
def test_against_the_slow_loop(name: str, temperature: float, scale: Any) -> None:
    skew = 0.3 if name.startswith("skewed") else None
    settings: dict[str, Any] = {"divergence": name, "skew": skew, "temperature": temperature, "scale": scale}
    found = divergence_loss(STUDENT, TEACHER, LABELS, kd_weight=0.7, label_weight=0.2, **settings)
    for row in range(N):
        p, q = (softened(z[row].tolist(), temperature) for z in (TEACHER, STUDENT))
        factor = temperature**2 if scale == "squared" else 1
        of_label = -math.log(softmax(STUDENT[row].tolist())[int(LABELS[row])])
        expected = 0.2 * of_label + 0.7 * factor * reference(name, p, q, 0.3)
        assert float(found[row]) == pytest.approx(expected, abs=1e-12)


def test_the_default_skew_is_a_tenth() -> None:
    for name in NAMES[3:]:
        given = divergence_loss(STUDENT, TEACHER, divergence=name, skew=0.1)  # pyright: ignore[reportArgumentType]
        assert torch.equal(divergence_loss(STUDENT, TEACHER, divergence=name), given)  # pyright: ignore[reportArgumentType]


def test_forward_kl_is_kd_loss_and_a_skew_of_0_is_kl() -> None:
    many: list[dict[str, Any]] = [{}, {"kd_weight": 0.4, "temperature": 2.0}]
    for settings in many:
        mine, theirs = (f(STUDENT, TEACHER, LABELS, **settings) for f in (divergence_loss, kd_loss))
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-13)
    for skewed, plain in (("skewed_kl", "forward_kl"), ("skewed_reverse_kl", "reverse_kl")):
        a = divergence_loss(STUDENT, TEACHER, divergence=skewed, skew=0.0)  # pyright: ignore[reportArgumentType]
        b = divergence_loss(STUDENT, TEACHER, divergence=plain)  # pyright: ignore[reportArgumentType]
        torch.testing.assert_close(a, b, rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", NAMES)
def test_the_teacher_itself_has_divergence_0_and_no_gradient(name: Any) -> None:
    student = TEACHER.clone().requires_grad_()
    value = divergence_loss(student, TEACHER, divergence=name)
    torch.testing.assert_close(value, torch.zeros_like(value), rtol=0, atol=1e-13)
    (gradient,) = torch.autograd.grad(value.sum(), student)
    assert float(gradient.abs().max()) < 1e-12


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("k", [1, 3, K - 1])
def test_a_ghost_tail_is_one_class_and_a_lower_bound(name: Any, k: int) -> None:
    rows = top(k)
    assert rows.classes is not None
    found = divergence_loss(STUDENT, rows, divergence=name)
    whole = divergence_loss(STUDENT, TEACHER, divergence=name)
    for row in range(N):
        kept = rows.classes[row].tolist()
        p, q = (coarse(softmax(z[row].tolist()), kept) for z in (TEACHER, STUDENT))
        assert float(found[row]) == pytest.approx(reference(name, p, q, 0.1), abs=1e-12)
    assert bool((found <= whole + 1e-12).all())
    if k < K - 1:
        assert bool((found < whole - 1e-3).any()), "it is not the divergence of all classes"
    # equal where the student divides its tail as the teacher does
    shifted = TEACHER.scatter(-1, rows.classes, STUDENT.gather(-1, rows.classes))
    alike = divergence_loss(shifted, rows, divergence=name)
    torch.testing.assert_close(alike, divergence_loss(shifted, TEACHER, divergence=name), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_a_uniform_tail_is_that_of_the_spread_teacher(name: Any) -> None:
    made = targets.top_k(TEACHER.log_softmax(-1), k=2).to_dense(K)
    found = divergence_loss(STUDENT, top(2), divergence=name, tail="uniform")
    expected = divergence_loss(STUDENT, made.log(), divergence=name)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("tail", ["ghost", "uniform"])
def test_all_classes_are_the_live_teacher(name: Any, tail: Any) -> None:
    for rows in (top(K), TeacherRows((TEACHER / 2).log_softmax(-1), temperature=2.0)):
        student = STUDENT.clone().requires_grad_()
        found = divergence_loss(student, rows, LABELS, divergence=name, tail=tail, kd_weight=0.5)
        live = divergence_loss(student, TEACHER, LABELS, divergence=name, kd_weight=0.5, temperature=rows.temperature)
        torch.testing.assert_close(found, live, rtol=0, atol=1e-12)
        gradients = [torch.autograd.grad(one.sum(), student, retain_graph=True)[0] for one in (found, live)]
        torch.testing.assert_close(*gradients, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("tail", ["ghost", "uniform"])
def test_the_gradient_is_that_of_the_value(name: Any, tail: Any) -> None:
    def value(z: Tensor) -> Tensor:
        return divergence_loss(z, top(3), LABELS, divergence=name, tail=tail, kd_weight=0.6)

    assert torch.autograd.gradcheck(value, STUDENT.clone().requires_grad_())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scale", [1.0, 100.0, 1e4])
def test_extreme_logits_give_finite_numbers(name: Any, scale: float) -> None:
    student = STUDENT.float().mul(scale).requires_grad_()
    for teacher in (TEACHER.float() * scale, top(2, TEACHER.float() * scale)):
        value = divergence_loss(student, teacher, divergence=name)
        (gradient,) = torch.autograd.grad(value.sum(), student)
        assert bool(value.isfinite().all())
        assert bool(gradient.isfinite().all())


@pytest.mark.parametrize("name", NAMES)
def test_classes_that_do_not_exist_on_either_side_change_nothing(name: Any) -> None:
    padded = [torch.nn.functional.pad(z, (0, 2), value=-torch.inf) for z in (STUDENT, TEACHER)]
    student = padded[0].requires_grad_()
    rows = top(3)
    wider = TeacherRows(rows.log_probs, rows.classes, rows.log_tail, num_classes=K + 2)
    for teacher, plain in ((padded[1], TEACHER), (wider, rows)):
        value = divergence_loss(student, teacher, divergence=name)
        torch.testing.assert_close(value, divergence_loss(STUDENT, plain, divergence=name), rtol=0, atol=1e-13)
        (gradient,) = torch.autograd.grad(value.sum(), student)
        assert bool(gradient.isfinite().all())
        assert bool((gradient[:, K:] == 0).all())


def test_an_infinite_divergence_is_refused_and_named() -> None:
    without = TEACHER.clone()
    without[4, 2] = -torch.inf
    with pytest.raises(ValueError, match=r"^teacher_logits: mass wherever the student has some.*entry 2 at row 4"):
        divergence_loss(STUDENT, without, divergence="reverse_kl")
    with pytest.raises(ValueError, match=r"^student_logits: a finite logit .* -inf for class 2 at row 4"):
        divergence_loss(without, TEACHER)
    for name in ("jensen_shannon", "skewed_reverse_kl"):
        assert bool(divergence_loss(STUDENT, without, divergence=name).isfinite().all())


@pytest.mark.parametrize("proposal_temperature", [1.0, 2.0])
def test_draws_estimate_forward_kl_and_its_gradient_without_bias(proposal_temperature: float) -> None:
    copies, draws = 4000, 3
    log_probs = TEACHER[:2].log_softmax(-1).repeat(copies, 1)
    generator = torch.Generator().manual_seed(0)
    proposal = (log_probs / proposal_temperature).log_softmax(-1)
    classes = proposal.exp().multinomial(draws, replacement=True, generator=generator)
    weights = (log_probs - proposal).gather(-1, classes)
    rows = TeacherRows(log_probs.gather(-1, classes), classes, None, weights, num_classes=K)
    student = STUDENT[:2].repeat(copies, 1).requires_grad_()
    value = divergence_loss(student, rows)
    (gradient,) = torch.autograd.grad(value.sum(), student)
    exact = STUDENT[:2].clone().requires_grad_()
    expected = divergence_loss(exact, TEACHER[:2])
    (slope,) = torch.autograd.grad(expected.sum(), exact)
    for found, wanted in ((value[:, None], expected[:, None]), (gradient, slope)):
        found = found.detach().reshape(copies, 2, -1)
        error = found.std(0) / copies**0.5
        assert bool(((found.mean(0) - wanted.detach()).abs() <= 4.5 * error + 1e-9).all())
        assert float(error.max()) < 0.1


def test_draws_are_refused_for_what_they_cannot_estimate() -> None:
    rows = TeacherRows(TEACHER.log_softmax(-1)[:, :2], torch.tensor([[0, 1]] * N), num_classes=K)
    assert repr(rows) == "TeacherRows(2 draws of 6, shape=(7,))"
    for name in NAMES[1:]:
        with pytest.raises(
            TypeError, match=r"^teacher_logits: all classes, or the k largest; got TeacherRows\(2 draws"
        ):
            divergence_loss(STUDENT, rows, divergence=name)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"divergence": "reverse"}, r"^divergence: one of forward_kl.*did you mean 'reverse_kl'"),
        ({"skew": 0.1}, r"^skew: None for 'forward_kl'; got 0.1; use divergence='skewed_kl'"),
        ({"divergence": "skewed_kl", "skew": 1.0}, r"^skew: below 1"),
        ({"divergence": "skewed_kl", "skew": -0.1}, r"^skew: in \[0, 1\]"),
        ({"tail": "drop"}, r"^tail: one of ghost, uniform"),
        ({"temperature": 3.0}, r"^temperature: 2, at which the teacher was softened; got 3; leave it out"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        divergence_loss(STUDENT, top(2, temperature=2.0), **settings)


def test_rows_of_another_vocabulary_or_of_other_examples_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"^teacher_logits: 6 classes, as the student has; got a cache of 5; give both"
    ):
        divergence_loss(STUDENT, top(2, TEACHER[:, :5]))
    with pytest.raises(
        ValueError, match=r"^teacher_logits: rows for examples of shape \(7,\), as the student's; got \(6"
    ):
        divergence_loss(STUDENT, top(2)[:6])
    with pytest.raises(TypeError, match=r"of these losses only divergence_loss accepts TeacherRows"):
        kd_loss(STUDENT, top(2))  # pyright: ignore[reportArgumentType]


def test_left_out_examples_have_no_loss_and_no_gradient_whatever_they_hold() -> None:
    labels, student = LABELS.clone(), STUDENT.clone()
    labels[1], student[2] = -100, torch.nan
    mask = torch.ones(N, dtype=torch.bool)
    mask[2] = False
    student.requires_grad_()
    for teacher in (TEACHER, top(2)):
        value = divergence_loss(student, teacher, labels, kd_weight=0.5, mask=mask)
        (gradient,) = torch.autograd.grad(value.sum(), student)
        assert value[1] == value[2] == 0
        assert bool((gradient[1:3] == 0).all())
        mean = divergence_loss(student, teacher, labels, kd_weight=0.5, mask=mask, reduction="mean")
        torch.testing.assert_close(mean, value.sum() / (N - 2))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", NAMES)
def test_half_precision_is_computed_in_float32(dtype: torch.dtype, name: Any) -> None:
    student = STUDENT.to(dtype)
    value = divergence_loss(student, top(3, TEACHER.float()), divergence=name)
    assert value.dtype == torch.float32
    exact = divergence_loss(student.double(), top(3), divergence=name)
    torch.testing.assert_close(value.double(), exact, rtol=1e-5, atol=1e-6)
