"""Divergences of a linear layer: the numbers of the two in turn, in chunks, without all logits."""

from typing import Any

import pytest
import torch
from teacher_rows import top_rows as top
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from softtargets import targets
from softtargets.distill import TeacherRows, divergence_loss, linear_divergence_loss

SHAPE, H, K = (3, 5), 4, 11
GENERATOR = torch.Generator().manual_seed(1)
HIDDEN = torch.randn(*SHAPE, H, generator=GENERATOR, dtype=torch.float64)
WEIGHT = torch.randn(K, H, generator=GENERATOR, dtype=torch.float64)
BIAS = torch.randn(K, generator=GENERATOR, dtype=torch.float64)
TEACHER = torch.randn(*SHAPE, K, generator=GENERATOR, dtype=torch.float64)
LABELS = torch.randint(K, SHAPE, generator=GENERATOR)
LABELS[1, 2] = -100
NAMES = ("forward_kl", "reverse_kl", "jensen_shannon", "skewed_kl", "skewed_reverse_kl")
EACH = torch.rand(SHAPE, generator=GENERATOR, dtype=torch.float64)


@pytest.mark.parametrize("chunk", [None, 1, 4, 100])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_values_and_gradients_are_those_of_the_two_in_turn(chunk: int | None, name: Any, reduction: Any) -> None:
    given: dict[str, Any] = {"divergence": name, "kd_weight": 0.3 + EACH / 2, "reduction": reduction}
    found, expected = [], []
    for teacher in (TEACHER, top(3, TEACHER, 2.0)):
        for way, results in (("chunks", found), ("whole", expected)):
            layer = [one.clone().requires_grad_() for one in (HIDDEN, WEIGHT, BIAS)]
            if way == "chunks":
                settings = {**given, "bias": layer[2], "chunk": chunk}
                value = linear_divergence_loss(layer[0], layer[1], teacher, LABELS, **settings)
            else:
                value = divergence_loss(torch.nn.functional.linear(*layer), teacher, LABELS, **given)
            upstream = EACH if reduction == "none" else torch.tensor(0.7, dtype=torch.float64)
            results += [value, *torch.autograd.grad(value, layer, upstream)]
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)


def test_soft_labels_targets_masks_and_no_labels() -> None:
    logits, mask = HIDDEN @ WEIGHT.T, EACH > 0.3
    soft = torch.rand(*SHAPE, K, generator=GENERATOR, dtype=torch.float64)
    for labels in (soft / soft.sum(-1, keepdim=True), targets.smooth(LABELS, 0.2), None):
        settings: dict[str, Any] = {"kd_weight": 0.4, "label_weight": 0.0 if labels is None else 0.5, "mask": mask}
        for reduction in ("none", "mean"):
            found = linear_divergence_loss(
                HIDDEN, WEIGHT, top(3, TEACHER), labels, chunk=2, reduction=reduction, **settings
            )
            expected = divergence_loss(logits, top(3, TEACHER), labels, reduction=reduction, **settings)
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_a_left_out_row_may_hold_anything() -> None:
    hidden = HIDDEN.clone()
    hidden[1, 2] = torch.nan
    layer = [hidden.requires_grad_(), WEIGHT.clone().requires_grad_()]
    value = linear_divergence_loss(layer[0], layer[1], top(3, TEACHER), LABELS, kd_weight=0.5, reduction="mean")
    gradients = torch.autograd.grad(value, layer)
    assert bool(value.isfinite())
    assert bool((gradients[0][1, 2] == 0).all())
    assert bool(gradients[0].isfinite().all())


class Largest(TorchDispatchMode):
    """Records the largest number of elements of a tensor that an operation makes."""

    def __init__(self) -> None:
        super().__init__()
        self.most = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        self.most = max([self.most, *(one.numel() for one in tree_leaves(made) if isinstance(one, Tensor))])
        return made


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("tail", ["ghost", "uniform"])
def test_no_tensor_of_all_logits_is_made(name: Any, tail: Any) -> None:
    rows, width, size = 600, 8, 500
    hidden = torch.randn(rows, width).requires_grad_()
    weight = torch.randn(size, width).requires_grad_()
    teacher = top(4, torch.randn(rows, size))
    labels = torch.randint(size, (rows,))
    settings: dict[str, Any] = {"divergence": name, "tail": tail, "kd_weight": 0.5, "reduction": "mean"}
    with Largest() as seen:
        linear_divergence_loss(hidden, weight, teacher, labels, chunk=64, **settings).backward()
    assert 0 < seen.most <= 64 * size
    with Largest() as seen:
        divergence_loss(hidden @ weight.T, teacher, labels, **settings).backward()
    assert seen.most == rows * size, "the test sees the logits where they are made"


def test_autocast_takes_the_products_in_its_precision_and_the_divergence_in_float32() -> None:
    layer = [one.float().requires_grad_() for one in (HIDDEN, WEIGHT)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = linear_divergence_loss(layer[0], layer[1], top(3, TEACHER.float()), reduction="mean")
    assert value.dtype == torch.float32
    gradients = torch.autograd.grad(value, layer)
    assert [gradient.dtype for gradient in gradients] == [torch.float32] * 2
    logits = (layer[0].bfloat16() @ layer[1].bfloat16().T).float()
    expected = divergence_loss(logits, top(3, TEACHER.float()), reduction="mean")
    torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-5)
    exact = torch.autograd.grad(divergence_loss(layer[0] @ layer[1].T, top(3, TEACHER.float())).mean(), layer)
    for mine, theirs in zip(gradients, exact, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0.05, atol=0.01)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"teacher_logits": top(3, TEACHER[..., :10])},
            r"^teacher_logits: 11 classes, as the student has; got a cache of",
        ),
        ({"teacher_logits": TEACHER[..., :10]}, r"^teacher_logits: shape \(3, 5, 11\); got \(3, 5, 10\)"),
        ({"teacher_logits": top(3, TEACHER)[:2]}, r"^teacher_logits: rows for examples of shape \(3, 5\)"),
        ({"labels": LABELS[:2]}, r"^labels: shape \(3, 5\); got \(2, 5\)"),
        ({"chunk": 0}, r"^chunk: at least 1; got 0"),
        ({"skews": 0.1}, r"^settings: one of divergence, skew.*did you mean 'skew'"),
        ({"kd_weight": EACH[:2]}, r"^kd_weight: a number or shape \(3, 5\)"),
        ({"mask": EACH}, r"^mask: a bool tensor"),
    ],
)
def test_bad_input_is_named(changed: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"teacher_logits": TEACHER, "labels": LABELS, "kd_weight": 0.5, **changed}
    with pytest.raises((ValueError, TypeError), match=message):
        linear_divergence_loss(HIDDEN, WEIGHT, **given)


def test_a_teacher_of_a_cache_needs_no_labels() -> None:
    rows = TeacherRows(TEACHER.log_softmax(-1))
    found = linear_divergence_loss(HIDDEN, WEIGHT, rows)
    torch.testing.assert_close(found, divergence_loss(HIDDEN @ WEIGHT.T, TEACHER), rtol=0, atol=1e-12)
