"""What all modules have in common: torch's class, its argument order, rows that are left out, and soft targets."""

import copy
import inspect
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from softtargets import losses, nn, targets

N, K = 6, 4
generator = torch.Generator().manual_seed(0)
LOGITS = torch.randn(N, K, generator=generator) * 2
LABELS = torch.tensor([2, 0, 3, 3, 1, 0])
MASK = torch.tensor([True, True, False, True, False, True])
SEGMENTS = torch.randn(2, K, K, generator=generator)  # as many positions as classes, so that a wrong class_dim passes
SEGMENT_LABELS = torch.randint(K, (2, K), generator=generator)

MODULES: dict[str, Callable[..., torch.nn.Module]] = {
    "CrossEntropyLoss": nn.CrossEntropyLoss,
    "CrossEntropyLoss, smoothed": partial(nn.CrossEntropyLoss, label_smoothing=0.1),
    "CrossEntropyLoss, weighted": partial(nn.CrossEntropyLoss, weight=torch.tensor([1.0, 2.0, 0.5, 1.0])),
    "Loss": partial(nn.Loss, losses.generalized_cross_entropy),
    "Loss of cross entropy": partial(nn.Loss, losses.cross_entropy),
    "LearnedSmoothing": partial(nn.LearnedSmoothing, K),
    "VolMinNet": partial(nn.VolMinNet, K),
}
modules = pytest.mark.parametrize("name", sorted(MODULES))


def infer_predict_nonlinearity(criterion: torch.nn.Module) -> Callable[[Tensor], Tensor]:
    """The rule by which skorch turns outputs into probabilities, skorch.utils._infer_predict_nonlinearity."""
    if isinstance(criterion, torch.nn.CrossEntropyLoss):
        return partial(torch.softmax, dim=-1)
    if isinstance(criterion, torch.nn.BCEWithLogitsLoss):
        return lambda x: torch.stack([1 - torch.sigmoid(x), torch.sigmoid(x)], 1)
    return lambda x: x


@modules
def test_skorch_recognises_the_loss_and_returns_probabilities(name: str) -> None:
    probs = infer_predict_nonlinearity(MODULES[name]())(LOGITS)
    torch.testing.assert_close(probs, LOGITS.softmax(-1))


@modules
def test_labels_to_ignore_and_a_mask_leave_the_same_examples_out(name: str) -> None:
    ignored = LABELS.masked_fill(~MASK, -100)
    bad = LOGITS.masked_fill(~MASK[:, None], torch.nan).requires_grad_()
    for reduction in ("mean", "sum", "none"):
        loss = MODULES[name](reduction=reduction)
        kept = loss(LOGITS[MASK], LABELS[MASK])
        for value in (loss(bad, ignored), loss(bad, LABELS, mask=MASK), loss(bad, ignored, mask=MASK | True)):
            torch.testing.assert_close(value[MASK] if reduction == "none" else value, kept)
            if reduction == "none":
                assert value[~MASK].eq(0).all()
            (gradient,) = torch.autograd.grad(value.sum(), bad)
            assert gradient[~MASK].eq(0).all()
            assert gradient.isfinite().all()


@modules
def test_nothing_to_count_is_0(name: str) -> None:
    logits = LOGITS.clone().requires_grad_()
    value = MODULES[name]()(logits, torch.full_like(LABELS, -100))
    assert value.item() == 0
    assert torch.autograd.grad(value, logits)[0].eq(0).all()


@modules
def test_the_classes_are_in_dimension_1_unless_said(name: str) -> None:
    flat = SEGMENTS.movedim(1, -1).reshape(-1, K)
    expected = MODULES[name]()(flat, SEGMENT_LABELS.flatten())
    torch.testing.assert_close(MODULES[name]()(SEGMENTS, SEGMENT_LABELS), expected)
    torch.testing.assert_close(MODULES[name](class_dim=-1)(SEGMENTS.movedim(1, -1), SEGMENT_LABELS), expected)
    one = MODULES[name]()(LOGITS[0], LABELS[0])
    torch.testing.assert_close(one, MODULES[name]()(LOGITS[:1], LABELS[:1]))


@modules
def test_copies_and_the_state_give_the_same(name: str) -> None:
    loss = MODULES[name]()
    for again in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert torch.equal(again(LOGITS, LABELS), loss(LOGITS, LABELS))
        assert repr(again) == repr(loss)
    other = MODULES[name]()
    other.load_state_dict(loss.state_dict())
    assert torch.equal(other(LOGITS, LABELS), loss(LOGITS, LABELS))


@modules
def test_it_is_called_as_torchs(name: str) -> None:
    loss = MODULES[name]()
    assert torch.equal(loss(input=LOGITS, target=LABELS), loss(LOGITS, LABELS))


@modules
def test_it_compiles_as_one_graph(name: str) -> None:
    loss = MODULES[name]()
    torch.testing.assert_close(
        torch.compile(loss, backend="aot_eager", fullgraph=True)(LOGITS, LABELS), loss(LOGITS, LABELS)
    )


@modules
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.uint16])
def test_labels_of_any_integer_dtype(name: str, dtype: torch.dtype) -> None:
    assert torch.equal(MODULES[name]()(LOGITS, LABELS.to(dtype)), MODULES[name]()(LOGITS, LABELS))


MISUSE: dict[str, tuple[Any, Any, str]] = {
    "swapped": (LABELS, LOGITS, "logits: .*; pass the logits first, then the (targets|labels)"),
    "swapped for Targets": (
        targets.hard(LABELS),
        LOGITS,
        "logits: .*; pass the logits first, then the (targets|labels)",
    ),
    "a list": (LOGITS, LABELS.tolist(), r"(targets|labels): .*; got list; use torch.tensor\((targets|labels)\)"),
    "NumPy labels": (LOGITS, LABELS.numpy(), r"(targets|labels): .*; got ndarray; use torch.from_numpy"),
    "NumPy logits": (LOGITS.numpy(), LABELS, r"logits: .*; got ndarray; use torch.from_numpy\(logits\)"),
    "None": (LOGITS, None, r"(targets|labels): .*; got NoneType; pass (targets|labels)"),
    "no logits": (None, LABELS, "logits: .*; got NoneType; pass logits"),
    "integer logits": (LOGITS.long(), LABELS, r"logits: .*; got dtype torch.int64; use logits.float\(\)"),
    "a column": (LOGITS, LABELS[:, None], r"(targets|labels): shape \(6,\).*; got \(6, 1\); use \w+\.squeeze\(-1\)"),
    "float labels": (LOGITS, LABELS.float(), r"(targets|labels): integer labels"),
    "no dimension": (LOGITS[0, 0], LABELS[0], r"class_dim: a dimension of the logits, of shape \(\); got 1"),
    "classes last": (
        torch.zeros(2, 5, K),
        torch.zeros(2, 5).long(),
        r"shape \(2, 4\).*; got \(2, 5\); use class_dim=-1",
    ),
    "fewer labels": (LOGITS, LABELS[:3], r"(targets|labels): shape \(6,\).*; got \(3,\); give one per example"),
    "one-hot integers": (
        LOGITS,
        torch.eye(K).long()[LABELS],
        r"(targets|labels): .*; use \w+\.argmax\(1\) for one-hot",
    ),
    "out of range": (
        LOGITS,
        LABELS + 1,
        "(targets|labels): .*got 4 at row 2; fix or drop .*, or set its label to -100",
    ),
}


@modules
@pytest.mark.parametrize("case", sorted(MISUSE))
def test_misuse_is_refused_with_the_remedy(name: str, case: str) -> None:
    logits, labels, message = MISUSE[case]
    with pytest.raises((ValueError, TypeError), match=message):
        MODULES[name]()(logits, labels)


@modules
def test_an_empty_batch_is_0(name: str) -> None:
    assert MODULES[name]()(LOGITS[:0], LABELS[:0]).item() == 0
    assert MODULES[name](reduction="none")(LOGITS[:0], LABELS[:0]).shape == (0,)


@modules
@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"reduction": "avg"}, "reduction: one of mean, sum, none; got 'avg'"),
        ({"ignore_index": "pad"}, "ignore_index: an int"),
        ({"ignore_index": None}, "ignore_index: an int"),
    ],
)
def test_settings_are_checked(name: str, keywords: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=f"^{message}"):
        MODULES[name](**keywords)


@modules
def test_numpy_numbers_are_numbers(name: str) -> None:
    loss = MODULES[name](ignore_index=np.int64(3), class_dim=np.int64(1))
    assert torch.equal(loss(LOGITS, LABELS), MODULES[name](ignore_index=3)(LOGITS, LABELS))


# positional arguments of torch


def test_the_order_of_arguments_is_torchs() -> None:
    theirs = list(inspect.signature(torch.nn.CrossEntropyLoss).parameters)
    assert list(inspect.signature(nn.CrossEntropyLoss).parameters)[: len(theirs)] == theirs
    weight = torch.tensor([1.0, 2.0, 3.0, 4.0])
    ours = nn.CrossEntropyLoss(weight, None, 3, None, "sum", 0.1, weighting="torch")
    expected = torch.nn.CrossEntropyLoss(weight, None, 3, None, "sum", 0.1)(LOGITS, LABELS)
    torch.testing.assert_close(ours(LOGITS, LABELS), expected)
    for argument in ("size_average", "reduce"):
        with pytest.raises(
            ValueError, match=f"{argument}: None, because it is deprecated in torch; got False; use redu"
        ):
            nn.CrossEntropyLoss(**{argument: False})  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("smoothing", [np.float32(0.1), np.float64(0.1)])
def test_a_smoothing_from_numpy(smoothing: Any) -> None:
    loss = nn.CrossEntropyLoss(label_smoothing=smoothing)
    torch.testing.assert_close(loss(LOGITS, LABELS), nn.CrossEntropyLoss(label_smoothing=0.1)(LOGITS, LABELS))
    with pytest.raises(TypeError, match="label_smoothing: a number; got Tensor"):
        nn.CrossEntropyLoss(label_smoothing=torch.tensor([0.1]))  # pyright: ignore[reportArgumentType]


# soft targets


def mixup_target(labels: Tensor, weight: float, smoothing: float) -> Tensor:
    """What timm.data.mixup.mixup_target returns: smoothed one-hot labels, mixed with those of the reversed batch."""
    off = smoothing / K
    first = torch.full((len(labels), K), off).scatter_(1, labels[:, None], 1 - smoothing + off)
    second = torch.full((len(labels), K), off).scatter_(1, labels.flip(0)[:, None], 1 - smoothing + off)
    return first * weight + second * (1 - weight)


MIXED = mixup_target(LABELS, 0.7, 0.1)
# how a loss with arguments of its own is called
SETTINGS: dict[str, dict[str, Any]] = {
    "forward_corrected_cross_entropy": {"transition": torch.eye(K) * 0.6 + 0.1},
    "backward_corrected_cross_entropy": {"transition": torch.eye(K) * 0.6 + 0.1},
}
ELSEWHERE = {"linear_cross_entropy", "vocab_parallel_cross_entropy", "ghost_cross_entropy"}


def soft_losses() -> list[str]:
    """Return the losses of (logits, targets) without other required arguments, or with settings above."""
    found: list[str] = []
    for name in sorted(set(losses.__all__) - ELSEWHERE):
        parameters = list(inspect.signature(getattr(losses, name)).parameters.values())
        needed = {p.name for p in parameters[2:] if p.default is p.empty} - SETTINGS.get(name, {}).keys()
        if [p.name for p in parameters[:2]] == ["logits", "targets"] and not needed:
            found.append(name)
    return found


@pytest.mark.parametrize("name", soft_losses())
def test_every_loss_of_targets_takes_what_timms_mixup_makes(name: str) -> None:
    loss = nn.Loss(getattr(losses, name), **SETTINGS.get(name, {}))
    logits = LOGITS.clone().requires_grad_()
    value = loss(logits, MIXED)
    assert value.shape == ()
    assert bool(torch.autograd.grad(value, logits)[0].isfinite().all())
    if name == "peer_loss":  # draws the examples that it pairs
        return
    torch.testing.assert_close(loss(LOGITS, targets.dense(MIXED)), value)
    masked = loss(LOGITS, MIXED, mask=MASK)
    torch.testing.assert_close(masked, loss(LOGITS[MASK], MIXED[MASK]))


@pytest.mark.parametrize("weighting", ["example", "torch"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_of_what_timms_mixup_makes_is_torchs(smoothing: float, weighting: Any) -> None:
    expected = torch.nn.CrossEntropyLoss(label_smoothing=smoothing)(LOGITS, MIXED)
    loss = nn.CrossEntropyLoss(label_smoothing=smoothing, weighting=weighting)
    torch.testing.assert_close(loss(LOGITS, MIXED), expected)
    rearranged = SEGMENTS.softmax(1)
    torch.testing.assert_close(
        loss(SEGMENTS, rearranged), torch.nn.CrossEntropyLoss(label_smoothing=smoothing)(SEGMENTS, rearranged)
    )


def test_ones_own_function_gets_soft_targets_as_they_were_given() -> None:
    seen: list[Any] = []

    def own(logits: Tensor, given: Any) -> Tensor:
        seen.append(given)
        return logits.logsumexp(-1)

    nn.Loss(own)(SEGMENTS, SEGMENTS.softmax(1))
    assert torch.equal(seen.pop(), SEGMENTS.softmax(1).movedim(1, -1))
    nn.Loss(own)(LOGITS, targets.smooth(LABELS, 0.1))
    assert isinstance(seen.pop(), targets.Targets)
