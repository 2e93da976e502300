"""Padding vocabularies: new classes get no probability on either side."""

from typing import Any

import pytest
import torch

from softtargets import distill, losses

N, K, SIZE = 5, 4, 7
INF = torch.inf
CLOSE: Any = {"rtol": 0, "atol": 1e-12}
generator = torch.Generator().manual_seed(0)
SMALL = torch.randn(N, K, dtype=torch.float64, generator=generator)
LARGE = torch.randn(N, SIZE, dtype=torch.float64, generator=generator)


def test_trap_18_new_classes_take_no_mass() -> None:
    padded = distill.pad_vocabulary(SMALL, SIZE)
    assert padded.shape == (N, SIZE)
    assert bool((padded[:, K:] == -INF).all())
    torch.testing.assert_close(padded.softmax(-1)[:, :K], SMALL.softmax(-1), **CLOSE)
    leaking = torch.nn.functional.pad(SMALL, (0, SIZE - K)).softmax(-1)[:, K:].sum(-1)
    assert float(leaking.min()) > 0.2


def test_trap_18_padding_with_zeros_would_hold_the_student_back() -> None:
    leaf = LARGE.clone().requires_grad_()
    loss = distill.kd_loss(leaf, distill.pad_vocabulary(SMALL, SIZE), temperature=4.0)
    (gradient,) = torch.autograd.grad(loss.sum(), leaf)
    # the student's own classes are learned down, for the teacher gives them nothing
    torch.testing.assert_close(gradient[:, K:], 4 * (LARGE / 4).softmax(-1)[:, K:], **CLOSE)


def test_a_padded_student_learns_labels_and_teacher_as_before() -> None:
    labels = torch.tensor([0, 3, 2, 1, 0])
    plain, padded = (SMALL.clone().requires_grad_() for _ in range(2))
    teacher = SMALL.flip(0)
    found = distill.kd_loss(
        distill.pad_vocabulary(padded, SIZE),
        distill.pad_vocabulary(teacher, SIZE),
        labels,
        kd_weight=0.5,
        temperature=2.0,
    )
    expected = distill.kd_loss(plain, teacher, labels, kd_weight=0.5, temperature=2.0)
    torch.testing.assert_close(found, expected, **CLOSE)
    gradients = [torch.autograd.grad(values.sum(), leaf)[0] for values, leaf in ((found, padded), (expected, plain))]
    torch.testing.assert_close(*gradients, **CLOSE)
    torch.testing.assert_close(
        losses.cross_entropy(distill.pad_vocabulary(SMALL, SIZE), labels), losses.cross_entropy(SMALL, labels), **CLOSE
    )


def test_a_padded_student_is_refused_where_the_teacher_has_probability() -> None:
    with pytest.raises(
        ValueError,
        match="student_logits: a finite logit for every class that the teacher gives probability; got -inf for class 4",
    ):
        distill.kd_loss(distill.pad_vocabulary(SMALL, SIZE), LARGE)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_dtype_and_leading_shape_stay(dtype: torch.dtype) -> None:
    logits = torch.zeros(2, 3, K, dtype=dtype)
    assert torch.equal(distill.pad_vocabulary(logits, K), logits)
    padded = distill.pad_vocabulary(logits, SIZE)
    assert padded.dtype == dtype
    assert padded.shape == (2, 3, SIZE)


@pytest.mark.parametrize(
    ("logits", "size", "error", "message"),
    [
        (SMALL, 3, ValueError, r"num_classes: at least 4, the number of classes of the logits; got 3"),
        (SMALL, 5.0, TypeError, r"num_classes: an int of at least 2; got 5\.0"),
        (SMALL, True, TypeError, "num_classes: an int of at least 2; got True"),
        (SMALL.long(), 5, TypeError, "logits: a floating-point tensor"),
    ],
)
def test_what_is_refused(logits: torch.Tensor, size: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        distill.pad_vocabulary(logits, size)
