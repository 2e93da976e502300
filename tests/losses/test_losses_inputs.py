"""What the cross entropies take and refuse: dtypes and layouts of targets, rows that are left out, misuse."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from softtargets import losses, targets

N, K = 6, 4
generator = torch.Generator().manual_seed(0)
LOGITS = torch.randn(N, K, generator=generator, dtype=torch.float64) * 2
LABELS = torch.tensor([2, 0, 3, 1, 2, 0])
PROBS = torch.randn(N, K, generator=generator, dtype=torch.float64).softmax(-1)
MASK = torch.tensor([True, False, True, True, False, True])
REDUCTIONS: Any = ("mean", "sum", "none")
IDENTITY = torch.eye(K, dtype=torch.float64)


def linear(logits: Any, given: Any, **keywords: Any) -> Tensor:
    return losses.linear_cross_entropy(logits, IDENTITY, given, **keywords)


def binary(logits: Any, labels: Any, **keywords: Any) -> Tensor:
    """Binary cross entropy of labels as one-hot targets."""
    numbers = isinstance(labels, Tensor) and labels.dtype == torch.int64 and labels.ndim == 1
    if numbers and isinstance(logits, Tensor) and len(logits) == len(labels):
        one_hot = torch.eye(K, dtype=torch.int64)[labels.long().clamp(0, K - 1)]
        labels = one_hot.masked_fill((labels == -100)[:, None], -100)
    return losses.binary_cross_entropy(logits, labels, **keywords)


Call = Callable[..., Tensor]
CALLS: dict[str, Call] = {
    "cross_entropy": losses.cross_entropy,
    "binary_cross_entropy": binary,
    "linear_cross_entropy": linear,
    "ghost_cross_entropy": losses.ghost_cross_entropy,
}
every_loss = pytest.mark.parametrize("loss", CALLS.values(), ids=list(CALLS))
of_labels = pytest.mark.parametrize(
    "loss", [CALLS[name] for name in CALLS if name != "binary_cross_entropy"], ids=[n for n in CALLS if n[0] != "b"]
)
of_probs = pytest.mark.parametrize(
    "loss", [CALLS[name] for name in CALLS if name != "ghost_cross_entropy"], ids=[n for n in CALLS if n[0] != "g"]
)


# rows that are left out


@every_loss
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_examples_that_are_left_out_have_no_loss_and_no_gradient_and_do_not_count(loss: Call, reduction: Any) -> None:
    kept = loss(LOGITS[MASK], LABELS[MASK], reduction=reduction)
    bad = LOGITS.masked_fill(~MASK[:, None], torch.nan).requires_grad_()
    ignored = LABELS.masked_fill(~MASK, -100)
    part = MASK | (torch.arange(N) == 1)  # leaves one example to ignore_index and one to the mask
    for value in (
        loss(bad, ignored, reduction=reduction),
        loss(bad, LABELS, mask=MASK, reduction=reduction),
        loss(bad, LABELS.masked_fill(torch.arange(N) == 1, -100), mask=part, reduction=reduction),
    ):
        torch.testing.assert_close(value[MASK] if reduction == "none" else value, kept, rtol=0, atol=1e-13)
        if reduction == "none":
            assert value[~MASK].eq(0).all()
        (gradient,) = torch.autograd.grad(value.sum(), bad)
        assert gradient[~MASK].eq(0).all()
        assert gradient[MASK].ne(0).all()
        assert gradient.isfinite().all()


@every_loss
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_the_reduction_of_a_loss_is_that_of_its_values(loss: Call, reduction: Any) -> None:
    logits = LOGITS.clone().requires_grad_()
    expected = losses.reduce(loss(logits, LABELS), reduction)
    value = loss(logits, LABELS, reduction=reduction)
    torch.testing.assert_close(value, expected, rtol=0, atol=1e-14)
    gradients = [torch.autograd.grad(v.sum(), logits)[0] for v in (value, expected)]
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-14)


@every_loss
def test_trap_05_nothing_to_count_has_a_mean_of_0(loss: Call) -> None:
    logits = LOGITS.clone().requires_grad_()
    for value in (
        loss(logits, torch.full_like(LABELS, -100), reduction="mean"),
        loss(logits, LABELS, mask=torch.zeros(N, dtype=torch.bool), reduction="mean"),
        loss(logits[:0], LABELS[:0], reduction="mean"),
    ):
        assert value.item() == 0
        assert torch.autograd.grad(value, logits)[0].eq(0).all()


@of_probs
def test_a_mask_leaves_soft_targets_out(loss: Call) -> None:
    kept = loss(LOGITS[MASK], PROBS[MASK], reduction="mean")
    for given, mask in (
        (PROBS, MASK),
        (targets.dense(PROBS), MASK),
        (replace(targets.dense(PROBS), ignored=~MASK), None),
        (replace(targets.dense(PROBS), ignored=~MASK), MASK | True),
    ):
        torch.testing.assert_close(loss(LOGITS, given, mask=mask, reduction="mean"), kept, rtol=0, atol=1e-14)


def test_the_mean_over_what_counts_is_torchs() -> None:
    marked = LABELS.masked_fill(~MASK, 255)
    value = losses.cross_entropy(LOGITS, marked, ignore_index=255, reduction="mean")
    torch.testing.assert_close(value, F.cross_entropy(LOGITS, marked, ignore_index=255))
    assert float(losses.reduce(losses.cross_entropy(LOGITS, marked, ignore_index=255))) < float(value)
    with_mask = losses.reduce(losses.cross_entropy(LOGITS, marked, ignore_index=255), mask=marked != 255)
    torch.testing.assert_close(with_mask, value)


def test_unknown_labels_of_binary_cross_entropy_have_no_loss() -> None:
    labels = torch.tensor([[1, -100, 0, 1], [-100, -100, -100, -100], [0, 0, -100, 1]])
    logits = LOGITS[:3].clone().requires_grad_()
    value = losses.binary_cross_entropy(logits, labels)
    each = F.binary_cross_entropy_with_logits(logits, labels.clamp(min=0).double(), reduction="none")
    known = labels != -100
    torch.testing.assert_close(value, (each * known).sum(-1))
    mean = losses.binary_cross_entropy(logits, labels, reduction="mean")
    torch.testing.assert_close(mean, (each * known).sum() / 2)  # of three examples one has no known label
    assert torch.autograd.grad(mean, logits)[0][~known].eq(0).all()
    torch.testing.assert_close(losses.binary_cross_entropy(logits, labels.double()), value)
    assert torch.equal(losses.binary_cross_entropy(logits, labels.to(torch.int8), ignore_index=-100), value)


# dtypes and layouts


@of_labels
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.uint16, torch.uint32])
def test_labels_of_any_integer_dtype(loss: Call, dtype: torch.dtype) -> None:
    assert torch.equal(loss(LOGITS, LABELS.to(dtype)), loss(LOGITS, LABELS))
    two = LOGITS[:, :2] if loss is not linear else None
    if two is not None:
        assert torch.equal(loss(two, LABELS > 1), loss(two, (LABELS > 1).long()))


def test_a_narrow_dtype_is_not_compared_before_it_is_converted() -> None:
    z = torch.randn(3, 300, generator=generator)
    labels = torch.tensor([156, 44, 255])
    assert torch.equal(losses.cross_entropy(z, labels.to(torch.uint8)), losses.cross_entropy(z, labels))
    with pytest.raises(ValueError, match=r"targets: .*; got -1 at row 1"):
        losses.cross_entropy(z, torch.tensor([1, -1], dtype=torch.int8).repeat(2)[:3], ignore_index=255)


@of_probs
def test_probabilities_and_targets_are_taken_alike(loss: Call) -> None:
    torch.testing.assert_close(loss(LOGITS, PROBS), loss(LOGITS, targets.dense(PROBS)), rtol=0, atol=1e-14)
    torch.testing.assert_close(loss(LOGITS, IDENTITY[LABELS]), loss(LOGITS, targets.hard(LABELS)), rtol=0, atol=1e-14)
    learned = PROBS.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda t: loss(LOGITS, t), learned)


@pytest.mark.parametrize("loss", [losses.cross_entropy, losses.binary_cross_entropy])
def test_probabilities_have_the_layout_of_the_logits(loss: Call) -> None:
    grid, soft = LOGITS.view(2, 3, K), PROBS.view(2, 3, K)
    moved = loss(grid.movedim(-1, 1), soft.movedim(-1, 1), class_dim=1)
    torch.testing.assert_close(moved, loss(LOGITS, PROBS).view(2, 3), rtol=0, atol=1e-14)


@every_loss
def test_numpy_numbers_are_numbers(loss: Call) -> None:
    expected = loss(LOGITS, LABELS)
    assert torch.equal(loss(LOGITS, LABELS, ignore_index=np.int64(-100)), expected)
    if loss is not linear:
        assert torch.equal(loss(LOGITS, LABELS, class_dim=np.int64(1)), expected)
    smoothed = losses.binary_cross_entropy(LOGITS, PROBS, smoothing=np.float64(0.25))  # pyright: ignore[reportArgumentType]
    assert torch.equal(smoothed, losses.binary_cross_entropy(LOGITS, PROBS, smoothing=0.25))


# misuse: (logits, targets, keywords, message)

Misuse = tuple[Any, Any, dict[str, Any], str]
SWAP = "pass the logits first, then the targets"
MISUSE: dict[str, Misuse] = {
    "swapped": (LABELS, LOGITS, {}, f"logits: a floating-point tensor; got dtype torch.int64; {SWAP}"),
    "swapped with Targets": (targets.hard(LABELS), LOGITS, {}, f"logits: .*; got Targets; {SWAP}"),
    "a list of labels": (LOGITS, LABELS.tolist(), {}, r"targets: .*; got list; use torch.tensor\(targets\)"),
    "a list of logits": (LOGITS.tolist(), LABELS, {}, r"logits: .*; got list; use torch.tensor\(logits\)"),
    "NumPy labels": (LOGITS, LABELS.numpy(), {}, r"targets: .*; got ndarray; use torch.from_numpy\(targets\)"),
    "NumPy logits": (LOGITS.numpy(), LABELS, {}, r"logits: .*; got ndarray; use torch.from_numpy\(logits\)"),
    "no targets": (LOGITS, None, {}, "targets: .*; got NoneType; pass targets"),
    "no logits": (None, LABELS, {}, "logits: .*; got NoneType; pass logits"),
    "text": (LOGITS, "cat", {}, "targets: .*; got str; "),
    "complex labels": (LOGITS, LABELS.to(torch.complex64), {}, "targets: .*; got dtype torch.complex64"),
    "a mask in NumPy": (LOGITS, LABELS, {"mask": MASK.numpy()}, "mask: a bool tensor"),
    "a mask of ints": (LOGITS, LABELS, {"mask": MASK.long()}, r"mask: a bool tensor.*; use mask.bool\(\)"),
    "a mask in a column": (LOGITS, LABELS, {"mask": MASK[:, None]}, r"mask: shape \(6,\)"),
    "ignore_index of text": (LOGITS, LABELS, {"ignore_index": "pad"}, "ignore_index: an int"),
    "no ignore_index": (LOGITS, LABELS, {"ignore_index": None}, "ignore_index: an int"),
    "another reduction": (LOGITS, LABELS, {"reduction": "average"}, "reduction: one of mean, sum, none; got 'average'"),
    "no reduction": (LOGITS, LABELS, {"reduction": None}, "reduction: one of mean, sum, none; got 'None'"),
    "fewer labels": (LOGITS, LABELS[:3], {}, r"targets: shape .*; got \(3,\)"),
    "class_dim 5": (
        LOGITS,
        LABELS,
        {"class_dim": 5},
        r"class_dim: a dimension of the logits, of shape \(6, 4\); got 5",
    ),
    "class_dim '1'": (LOGITS, LABELS, {"class_dim": "1"}, "class_dim: an int .*; got '1'"),
    "class_dim True": (LOGITS, LABELS, {"class_dim": True}, "class_dim: an int .*; got True"),
    "0-d logits": (LOGITS[0, 0], LABELS[0], {}, r"class_dim: a dimension of the logits, of shape \(\)"),
}
MISUSE_OF_LABELS: dict[str, Misuse] = {
    "a column": (LOGITS, LABELS[:, None], {}, r"targets: shape \(6,\).*; got \(6, 1\); use targets.squeeze\(-1\)"),
    "float labels": (LOGITS, LABELS.double(), {}, "targets: .*float64"),
    "out of range": (LOGITS, LABELS + 1, {}, "targets: .*got 4 at row 2; fix or drop .*, or set its label to -100"),
    "negative": (LOGITS, LABELS - 1, {}, "targets: .*got -1 at row 1"),
    "Targets of other classes": (
        LOGITS,
        targets.smooth(LABELS, 0.1, valid=torch.ones(5).bool()),
        {},
        "targets: 4 cl.*5",
    ),
}


@every_loss
@pytest.mark.parametrize("case", sorted(MISUSE))
def test_misuse_is_refused_with_the_remedy(loss: Call, case: str) -> None:
    logits, given, keywords, message = MISUSE[case]
    if loss is linear:
        if "class_dim" in keywords:
            pytest.skip("its classes are the rows of the weight")
        message = message.replace("logits", "hidden").replace(
            "class_dim: a dimension of the hidden, of shape", "hidden: shape .* got"
        )
    with pytest.raises((ValueError, TypeError), match=f"^{message}"):
        loss(logits, given, **keywords)


@of_labels
@pytest.mark.parametrize("case", sorted(MISUSE_OF_LABELS))
def test_misuse_of_labels_is_refused_with_the_remedy(loss: Call, case: str) -> None:
    logits, given, keywords, message = MISUSE_OF_LABELS[case]
    with pytest.raises((ValueError, TypeError), match=f"^{message}"):
        loss(logits, given, **keywords)


@pytest.mark.parametrize("class_dim", [-1, 1])
def test_a_wrong_dimension_of_classes_is_named(class_dim: int) -> None:
    sequence = torch.zeros(2, 5, 3)
    labels = torch.zeros(2, 5 if class_dim == 1 else 3).long()
    right = -1 if class_dim == 1 else 1
    with pytest.raises(ValueError, match=rf"^targets: shape .*; got \(2, {labels.shape[1]}\); use class_dim={right}$"):
        losses.cross_entropy(sequence, labels, class_dim=class_dim)
    assert losses.cross_entropy(sequence, labels, class_dim=right).shape == labels.shape


def test_one_hot_integers_and_probabilities_of_other_shapes_are_told_apart() -> None:
    with pytest.raises(ValueError, match=r"targets.argmax\(-1\) for one-hot labels, or targets.float\(\) for prob"):
        losses.cross_entropy(LOGITS, IDENTITY[LABELS].long())
    with pytest.raises(ValueError, match=r"got torch.float64 of shape \(6, 3\); give one probability per class"):
        losses.cross_entropy(LOGITS, PROBS[:, :3])
    with pytest.raises(
        ValueError, match=r"got torch.float64 of shape \(6,\); use targets.long\(\) if these are labels"
    ):
        losses.cross_entropy(LOGITS, LABELS.double())


REDUCE_MISUSE: list[tuple[Any, dict[str, Any], str]] = [
    ([1.0, 2.0], {}, "losses: a floating-point tensor; got list"),
    (np.ones(2), {}, "losses: a floating-point tensor; got ndarray"),
    (None, {}, "losses: a floating-point tensor; got NoneType"),
    (LABELS, {}, "losses: a floating-point tensor; got dtype torch.int64"),
    (LOGITS[:, 0], {"weight": [1.0] * N}, "weight: a tensor with one weight per example; got list"),
    (LOGITS[:, 0], {"mask": MASK.long()}, "mask: a bool tensor"),
    (LOGITS[:, 0], {"mask": MASK[:3]}, r"mask: shape \(6,\)"),
    (LOGITS[:, 0], {"normalizer": "6"}, "normalizer: a number; got str"),
    (
        LOGITS[:, 0],
        {"normalizer": torch.ones(N)},
        r"normalizer: a number or a tensor without dimensions; got shape \(6,\)",
    ),
]


@pytest.mark.parametrize(("values", "keywords", "message"), REDUCE_MISUSE)
def test_misuse_of_reduce(values: Any, keywords: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=f"^{message}"):
        losses.reduce(values, **keywords)


def test_reduce_counts_what_the_mask_and_the_weights_say() -> None:
    values, weight = torch.tensor([1.0, 2.0, torch.nan, 4.0]), torch.tensor([1.0, 3.0, 1.0, 0.0])
    mask = torch.tensor([True, True, False, True])
    assert float(losses.reduce(values, mask=mask)) == pytest.approx(7 / 3)
    assert float(losses.reduce(values, "sum", mask=mask)) == 7
    assert losses.reduce(values, "none", mask=mask).tolist() == [1, 2, 0, 4]
    assert float(losses.reduce(values, mask=mask, weight=weight)) == 7 / 4
    assert float(losses.reduce(values, mask=mask, normalizer=np.float32(2))) == 3.5  # pyright: ignore[reportArgumentType]
