"""Properties of every distillation loss: gradients, masks, excluded classes, precision and errors."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from softtargets import distill

N, K = 6, 4
INF = torch.inf
CLOSE: Any = {"rtol": 0, "atol": 1e-12}
LABELS = torch.tensor([2, 0, 3, 1, 2, 0])
MASK = torch.tensor([True, False, True, True, False, True])
generator = torch.Generator().manual_seed(0)
STUDENT, TEACHER = (torch.randn(N, K, dtype=torch.float64, generator=generator) * 2 for _ in range(2))
ASYMMETRIC = torch.tensor(
    [[0.7, 0.3, 0.0, 0.0], [0.1, 0.8, 0.1, 0.0], [0.0, 0.0, 0.6, 0.4], [0.05, 0.05, 0.0, 0.9]], dtype=torch.float64
)
KD = distill.kd_loss


def corrected(z: Tensor, v: Tensor, y: Tensor, **settings: Any) -> Tensor:
    """A class beyond those of T is only mistaken for itself."""
    beyond = z.shape[-1] - K
    transition = functional.pad(ASYMMETRIC, (0, beyond, 0, beyond))
    transition[range(K, K + beyond), range(K, K + beyond)] = 1.0
    return KD(z, v, y, kd_weight=0.4, temperature=3.0, transition=transition, **settings)


Loss = Callable[..., Tensor]
LOSSES: dict[str, Loss] = {
    "kd": lambda z, v, y, **k: KD(z, v, y, kd_weight=0.4, temperature=3.0, **k),
    "kd, student at 1": lambda z, v, y, **k: KD(z, v, y, kd_weight=0.4, temperature=3.0, student_temperature=1.0, **k),
    "kd without labels": lambda z, v, _, **k: KD(z, v, temperature=3.0, **k),
    "kd corrected": corrected,
    "squared": lambda z, v, y, **k: distill.logit_mse_loss(z, v, y, kd_weight=0.4, **k),
    "squared centred": lambda z, v, y, **k: distill.logit_mse_loss(z, v, y, kd_weight=0.4, centered=True, **k),
    "standardised": distill.standardized_kd_loss,
    "decoupled": distill.dkd_loss,
    "relational": lambda z, v, _, **k: distill.dist_loss(z, v, temperature=2.0, **k),
}
every_loss = pytest.mark.parametrize("name", LOSSES)


def gradient(loss: Callable[[Tensor], Tensor], logits: Tensor) -> Tensor:
    leaf = logits.detach().clone().requires_grad_()
    return torch.autograd.grad(loss(leaf).sum(), leaf)[0]


@every_loss
def test_gradcheck(name: str) -> None:
    student = STUDENT.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: LOSSES[name](z, TEACHER, LABELS, mask=MASK), student)
    assert torch.autograd.gradgradcheck(lambda z: LOSSES[name](z, TEACHER[:2], LABELS[:2]), student[:2])


@every_loss
def test_the_teacher_gets_no_gradient(name: str) -> None:
    student, teacher = STUDENT.clone().requires_grad_(), TEACHER.clone().requires_grad_()
    LOSSES[name](student, teacher, LABELS).sum().backward()
    assert teacher.grad is None
    assert student.grad is not None
    assert bool((student.grad != 0).any(-1).all())


@every_loss
@pytest.mark.parametrize("junk", [0.0, math.nan, math.inf, -math.inf])
def test_rows_that_do_not_count_have_no_part_whatever_stands_there(name: str, junk: float) -> None:
    loss = LOSSES[name]
    student, teacher = STUDENT.clone(), TEACHER.clone()
    student[~MASK], teacher[~MASK] = junk, junk
    labels = LABELS.masked_fill(~MASK, -100)
    values = loss(student, teacher, labels, mask=MASK)
    assert values[~MASK].tolist() == [0.0, 0.0]
    torch.testing.assert_close(values[MASK], loss(STUDENT[MASK], TEACHER[MASK], LABELS[MASK]), **CLOSE)
    found = gradient(lambda z: loss(z, teacher, labels, mask=MASK), student)
    assert bool((found[~MASK] == 0).all())
    expected = gradient(lambda z: loss(z, TEACHER[MASK], LABELS[MASK]), STUDENT[MASK])
    torch.testing.assert_close(found[MASK], expected, **CLOSE)


@every_loss
def test_a_batch_of_which_no_row_counts_gives_0(name: str) -> None:
    none = torch.zeros(N, dtype=torch.bool)
    assert LOSSES[name](STUDENT, TEACHER, LABELS, mask=none).tolist() == [0.0] * N
    assert bool((gradient(lambda z: LOSSES[name](z, TEACHER, LABELS, mask=none), STUDENT) == 0).all())


@every_loss
def test_sequences_give_one_loss_a_token(name: str) -> None:
    loss, shape = LOSSES[name], (2, 3)
    student, teacher = STUDENT.reshape(*shape, K), TEACHER.reshape(*shape, K)
    values = loss(student, teacher, LABELS.reshape(shape), mask=MASK.reshape(shape))
    torch.testing.assert_close(values, loss(STUDENT, TEACHER, LABELS, mask=MASK).reshape(shape), **CLOSE)


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "relational"])
def test_a_class_that_neither_has_is_as_if_it_were_not_there(name: str) -> None:
    loss = LOSSES[name]
    student, teacher = (distill.pad_vocabulary(z, K + 2) for z in (STUDENT, TEACHER))
    torch.testing.assert_close(loss(student, teacher, LABELS), loss(STUDENT, TEACHER, LABELS), **CLOSE)
    found = gradient(lambda z: loss(z, teacher, LABELS), student)
    expected = gradient(lambda z: loss(z, TEACHER, LABELS), STUDENT)
    torch.testing.assert_close(found, functional.pad(expected, (0, 2)), **CLOSE)


@every_loss
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(name: str, dtype: torch.dtype) -> None:
    loss, student, teacher = LOSSES[name], STUDENT.to(dtype), TEACHER.to(dtype)
    values = loss(student, teacher, LABELS)
    assert values.dtype == torch.float32
    torch.testing.assert_close(values.double(), loss(student.double(), teacher.double(), LABELS), rtol=1e-5, atol=1e-5)
    found = gradient(lambda z: loss(z, teacher, LABELS), student)
    assert found.dtype == dtype
    assert bool(found.isfinite().all())


@every_loss
def test_the_students_precision_is_the_losss(name: str) -> None:
    teacher = TEACHER.double()
    values = LOSSES[name](STUDENT.float(), teacher, LABELS)
    assert values.dtype == torch.float32
    torch.testing.assert_close(values.double(), LOSSES[name](STUDENT, teacher, LABELS), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["kd", "kd without labels", "standardised", "decoupled", "relational"])
@pytest.mark.parametrize("sign", [1.0, -1.0, 0.0])
def test_extreme_logits_stay_finite(name: str, sign: float) -> None:
    loss, label = LOSSES[name], torch.tensor([1])
    student = torch.tensor([[1e4, -1e4, 0.0, 5.0]])
    assert bool(loss(student, sign * student, label).isfinite().all())
    assert bool(gradient(lambda z: loss(z, sign * student, label), student).isfinite().all())


@pytest.mark.parametrize("name", ["kd corrected", "squared", "standardised", "decoupled", "relational"])
def test_compiled_code_looks_at_no_value(name: str) -> None:
    compiled = torch.compile(LOSSES[name], backend="eager", fullgraph=True)
    values = compiled(STUDENT, TEACHER, LABELS, mask=MASK)
    torch.testing.assert_close(values, LOSSES[name](STUDENT, TEACHER, LABELS, mask=MASK), **CLOSE)


@every_loss
@pytest.mark.parametrize(
    ("student", "teacher", "settings", "error", "message"),
    [
        (STUDENT, TEACHER[:, :3], {}, ValueError, r"teacher_logits: 4 classes.* got 3; .*distill\.pad_vocabulary"),
        (STUDENT, TEACHER[:3], {}, ValueError, r"teacher_logits: shape \(6, 4\), like student_logits; got \(3, 4\)"),
        (STUDENT[:, :1], TEACHER[:, :1], {}, ValueError, "student_logits: shape .* with K >= 2; got"),
        (STUDENT.long(), TEACHER, {}, TypeError, "student_logits: a floating-point tensor; got dtype torch.int64"),
        (STUDENT, TEACHER.long(), {}, TypeError, "teacher_logits: a floating-point tensor; got dtype torch.int64"),
        (STUDENT, TEACHER, {"mask": MASK.long()}, TypeError, "mask: a bool tensor, .* got dtype torch.int64"),
        (STUDENT, TEACHER, {"mask": MASK[:2]}, ValueError, r"mask: shape \(6,\), .* got \(2,\)"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(
    name: str, student: Tensor, teacher: Tensor, settings: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        LOSSES[name](student, teacher, LABELS, **settings)


@pytest.mark.parametrize("name", [name for name in LOSSES if name not in ("relational", "kd without labels")])
def test_labels_that_do_not_fit_are_refused(name: str) -> None:
    loss = LOSSES[name]
    with pytest.raises(ValueError, match=r"labels: labels of at least 0 and below 4.* got 4 at row 0"):
        loss(STUDENT, TEACHER, LABELS + 2)
    with pytest.raises(ValueError, match=r"labels: shape \(6,\); got \(2,\)"):
        loss(STUDENT, TEACHER, LABELS[:2])
    with pytest.raises(TypeError, match=r"got dtype torch\.float64"):
        loss(STUDENT, TEACHER, LABELS.double())


TAKES_TEMPERATURE: dict[str, Loss] = {
    "kd": KD,
    "standardised": lambda z, v, **k: distill.standardized_kd_loss(z, v, LABELS, **k),
    "decoupled": lambda z, v, **k: distill.dkd_loss(z, v, LABELS, **k),
    "relational": distill.dist_loss,
    "ensemble": lambda z, v, **k: distill.ensemble([z, v], **k),
    "equivalent smoothing": lambda _, v, **k: distill.equivalent_smoothing(v, LABELS, **k),
}


@pytest.mark.parametrize("name", TAKES_TEMPERATURE)
@pytest.mark.parametrize(
    ("temperature", "error", "got"),
    [
        (0.0, ValueError, "0"),
        (-2.0, ValueError, "-2"),
        (math.nan, ValueError, "nan"),
        (math.inf, ValueError, "inf"),
        (True, TypeError, "bool"),
    ],
)
def test_a_temperature_is_a_finite_number_above_0(
    name: str, temperature: Any, error: type[Exception], got: str
) -> None:
    with pytest.raises(error, match=f"^temperature: a .*number.*; got {got}; 1 leaves the logits unchanged"):
        TAKES_TEMPERATURE[name](STUDENT, TEACHER, temperature=temperature)


@pytest.mark.parametrize(
    ("loss", "argument"),
    [
        (lambda **k: KD(STUDENT, TEACHER, label_weight=0.0, **k), "kd_weight"),
        (lambda **k: KD(STUDENT, TEACHER, LABELS, **k), "label_weight"),
        (lambda **k: distill.logit_mse_loss(STUDENT, TEACHER, label_weight=0.0, **k), "kd_weight"),
        (lambda **k: distill.standardized_kd_loss(STUDENT, TEACHER, LABELS, **k), "kd_weight"),
        (lambda **k: distill.standardized_kd_loss(STUDENT, TEACHER, LABELS, **k), "label_weight"),
        (lambda **k: distill.dkd_loss(STUDENT, TEACHER, LABELS, **k), "target_weight"),
        (lambda **k: distill.dkd_loss(STUDENT, TEACHER, LABELS, **k), "other_weight"),
        (lambda **k: distill.dist_loss(STUDENT, TEACHER, **k), "inter_weight"),
        (lambda **k: distill.dist_loss(STUDENT, TEACHER, **k), "intra_weight"),
    ],
)
def test_a_weight_is_a_finite_number_of_at_least_0(loss: Loss, argument: str) -> None:
    for weight, got in ((-1.0, "-1"), (math.nan, "nan"), (math.inf, "inf")):
        with pytest.raises(ValueError, match=f"^{argument}: .*; got {got}; choose 0 or more"):
            loss(**{argument: weight})
    with pytest.raises((TypeError, ValueError), match=f"^{argument}: a number"):
        loss(**{argument: torch.ones(N, 1)})
