"""The log-odds of the label, and what all losses share that are a function of its probability."""

import math
from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from reference import robust as reference
from torch import Tensor

from softtargets import losses
from softtargets._native import chunks
from softtargets.losses._engine import ahead
from softtargets.losses._engine.log_odds import label_log_odds

N, K = 6, 4
LABELS = torch.tensor([2, 0, 3, 1, 2, 2])
WEIGHT = torch.tensor([1.0, 0.0, 2.0, 0.5, 1.0, 3.0], dtype=torch.float64)

# every loss, and as plain PyTorch would have it
Plain = Callable[[Tensor, Tensor], Tensor]
LOSSES: dict[str, tuple[Any, dict[str, Any], Plain]] = {
    "gce": (losses.generalized_cross_entropy, {}, lambda p, y: (1 - at(p, y) ** 0.7) / 0.7),
    "gce 0": (losses.generalized_cross_entropy, {"q": 0.0}, lambda p, y: -at(p, y).log()),
    "mae": (losses.mean_absolute_error, {}, lambda p, y: 1 - at(p, y)),
    "rce": (losses.reverse_cross_entropy, {}, lambda p, y: -math.log(1e-4) * (1 - at(p, y))),
    "sce": (
        losses.symmetric_cross_entropy,
        {},
        lambda p, y: -0.1 * at(p, y).log() - math.log(1e-4) * (1 - at(p, y)),
    ),
    "nce": (losses.normalized_cross_entropy, {}, lambda p, y: at(p, y).log() / p.log().sum(-1)),
    "apl": (
        losses.active_passive_loss,
        {"active_weight": 10.0, "passive_weight": 0.1},
        lambda p, y: 10 * at(p, y).log() / p.log().sum(-1) - 0.1 * math.log(1e-4) * (1 - at(p, y)),
    ),
    "relaxation": (
        losses.label_relaxation_loss,
        {"smoothing": 0.01},
        lambda p, y: torch.where(
            at(p, y) < 0.99, 0.99 * (0.99 / at(p, y)).log() + 0.01 * (0.01 / (1 - at(p, y))).log(), 0.0
        ),
    ),
    "focal": (losses.focal_loss, {}, lambda p, y: -((1 - at(p, y)) ** 3) * at(p, y).log()),
    "focal 0.5": (losses.focal_loss, {"gamma": 0.5}, lambda p, y: -((1 - at(p, y)) ** 0.5) * at(p, y).log()),
    "flsd": (
        losses.sample_dependent_focal_loss,
        {},
        lambda p, y: -((1 - at(p, y)) ** torch.where(at(p, y) < 0.2, 5.0, 3.0)) * at(p, y).log(),
    ),
    "dual": (losses.dual_focal_loss, {}, lambda p, y: -((1 - at(p, y) + below(p, y)) ** 5) * at(p, y).log()),
    "dual 0.5": (
        losses.dual_focal_loss,
        {"gamma": 0.5},
        lambda p, y: -((1 - at(p, y) + below(p, y)) ** 0.5) * at(p, y).log(),
    ),
}
every = pytest.mark.parametrize("name", LOSSES)


def at(probs: Tensor, labels: Tensor) -> Tensor:
    return probs.gather(-1, labels[..., None])[..., 0]


def below(probs: Tensor, labels: Tensor) -> Tensor:
    return (probs * (probs < at(probs, labels)[..., None])).amax(-1)


def value(name: str, logits: Tensor, labels: Tensor = LABELS, **more: Any) -> Tensor:
    loss, settings, _ = LOSSES[name]
    return loss(logits, labels, **settings, **more)


def logits_of(seed: int = 0, scale: float = 2.0) -> Tensor:
    return torch.randn(N, K, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * scale


def gradient_of(losses_of: Tensor, logits: Tensor, upstream: Tensor | None = None) -> Tensor:
    return torch.autograd.grad(losses_of, logits, torch.ones_like(losses_of) if upstream is None else upstream)[0]


def worst(values: Tensor, truth: Tensor) -> float:
    return float((values.detach().double() - truth.detach()).abs().max())


def close(a: Tensor, b: Tensor, atol: float = 1e-12) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=atol)


def test_log_odds_by_hand_and_by_the_slow_loop() -> None:
    # p = (1/2, 1/4, 1/4): even odds, and one to three
    logits = torch.tensor([[math.log(2.0), 0.0, 0.0]] * 2, dtype=torch.float64)
    close(label_log_odds(logits, torch.tensor([0, 1])), torch.tensor([0.0, -math.log(3.0)], dtype=torch.float64), 1e-15)
    expected = [reference.log_odds(z, y) for z, y in zip(logits_of().tolist(), LABELS.tolist(), strict=True)]
    assert label_log_odds(logits_of(), LABELS).tolist() == pytest.approx(expected, abs=1e-12)


def test_log_odds_keep_their_digits_where_1_less_p_has_none() -> None:
    logits = torch.tensor([[30.0, 0.0, 1.0]], requires_grad=True)
    odds = label_log_odds(logits, torch.tensor([0]))
    assert float(odds.detach()) == pytest.approx(30 - math.log(1 + math.e), rel=1e-7)
    rest = 1 / (1 + math.e)
    assert gradient_of(odds, logits)[0].tolist() == pytest.approx([1.0, -rest, rest - 1], rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_both_paths_and_every_cut_into_chunks_agree(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    logits = logits_of().to(dtype).view(2, 3, K).requires_grad_()
    labels, upstream = LABELS.view(2, 3), WEIGHT.view(2, 3)
    plain = logits.detach().clone().requires_grad_()
    monkeypatch.setattr(ahead, "plain_tensors", lambda *tensors: False)
    expected = label_log_odds(plain, labels)
    expected_gradient = gradient_of(expected, plain, upstream.to(expected.dtype))
    monkeypatch.undo()
    for budget in (1, 2 * K, 10_000):
        monkeypatch.setattr(chunks, "CHUNK_ON_CPU", budget)
        odds = label_log_odds(logits, labels)
        assert odds.dtype == expected.dtype
        close(odds, expected, 1e-14 if dtype == torch.float64 else 1e-6)
        found = gradient_of(odds, logits, upstream.to(odds.dtype))
        assert found.dtype == dtype
        tolerance = {torch.float64: 1e-14, torch.float32: 1e-6}.get(dtype, 2e-2)
        torch.testing.assert_close(found, expected_gradient, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("fast", [True, False])
def test_log_odds_of_masked_classes(fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not fast:
        monkeypatch.setattr(ahead, "plain_tensors", lambda *tensors: False)
    inf = torch.inf
    logits = torch.tensor([[1.0, -inf, 0.0], [-inf, 0.5, -inf], [0.0, -inf, 0.0]]).double().requires_grad_()
    odds = label_log_odds(logits, torch.tensor([0, 1, 1]))
    assert odds.tolist() == [1.0, torch.finfo(torch.float64).max, -inf]  # alone: finite
    close(gradient_of(odds, logits), torch.tensor([[1.0, 0, -1], [0, 0, 0], [-0.5, 1, -0.5]]).double(), 1e-15)


@every
def test_agrees_with_plain_pytorch(name: str) -> None:
    logits = logits_of().requires_grad_()
    ours, theirs = value(name, logits), LOSSES[name][2](logits.softmax(-1), LABELS)
    close(ours, theirs)
    close(gradient_of(ours, logits), gradient_of(theirs, logits))


@every
def test_gradcheck_twice(name: str) -> None:
    logits = logits_of().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: value(name, z), logits)
    assert torch.autograd.gradgradcheck(lambda z: value(name, z), logits)


@every
def test_classes_may_be_renamed(name: str) -> None:
    order = torch.tensor([3, 1, 0, 2])
    close(value(name, logits_of()[:, order], order.argsort()[LABELS]), value(name, logits_of()), 1e-13)


@every
def test_a_shift_of_the_logits_and_a_split_of_the_batch_change_nothing(name: str) -> None:
    whole = value(name, logits_of())
    close(value(name, logits_of() + torch.linspace(-50, 50, N).double()[:, None]), whole)
    close(torch.cat([value(name, logits_of()[i : i + 1], LABELS[i : i + 1]) for i in range(N)]), whole, 1e-14)


@every
def test_layouts_agree(name: str) -> None:
    flat, grid = logits_of(), LABELS.view(2, 3)
    expected = value(name, flat).view(2, 3)
    channels_second = flat.view(2, 3, K).movedim(-1, 1)
    for logits, dim in ((flat.view(2, 3, K), -1), (channels_second, 1), (channels_second.contiguous(), 1)):
        leaf = logits.detach().requires_grad_()
        found = value(name, leaf, grid, class_dim=dim)
        close(found, expected, 1e-13)
        assert gradient_of(found, leaf).shape == leaf.shape
    close(value(name, flat[0], LABELS[0]), expected[0, 0], 1e-13)
    assert torch.equal(value(name, flat, LABELS.to(torch.uint8)), value(name, flat))
    assert value(name, torch.zeros(0, K), torch.zeros(0, dtype=torch.int64)).shape == (0,)
    assert value(name, flat.to("meta"), LABELS.to("meta")).shape == (N,)


@every
@pytest.mark.parametrize("size", [1e4, 1e30])
def test_extreme_logits_stay_finite(name: str, size: float) -> None:
    logits = torch.tensor([[size, -size, 0.0, 1.0]]).repeat(4, 1).requires_grad_()
    found = value(name, logits, torch.arange(4))
    assert bool(gradient_of(found, logits).isfinite().all())
    if size == 1e4:
        assert bool(found.isfinite().all())
        truth = value(name, logits.detach().double(), torch.arange(4))
        torch.testing.assert_close(found.double(), truth, rtol=1e-5, atol=1e-6)


@every
def test_a_masked_class_has_no_part(name: str) -> None:
    masked = torch.tensor([False, True, False, False])
    labels = torch.tensor([2, 0, 3, 0, 2, 2])
    logits = logits_of().masked_fill(masked, -torch.inf).requires_grad_()
    kept = logits.detach()[:, ~masked].requires_grad_()
    found, expected = value(name, logits, labels), value(name, kept, labels - (labels > 1).long())
    close(found, expected, 1e-13)
    gradient = gradient_of(found, logits)
    assert bool((gradient[:, 1] == 0).all())
    close(gradient[:, ~masked], gradient_of(expected, kept), 1e-13)


@every
@pytest.mark.parametrize("twice", [False, True])
def test_a_label_that_is_alone_is_certain(name: str, twice: bool) -> None:
    logits = torch.tensor([[-torch.inf, 0.3, -torch.inf]], dtype=torch.float64, requires_grad=True)
    found = value(name, logits, torch.tensor([1]))
    (gradient,) = torch.autograd.grad(found.sum(), logits, create_graph=twice)
    assert float(found.detach()) == 0
    assert bool((gradient == 0).all())


@every
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_errs_no_more_than_plain_float32(name: str, dtype: torch.dtype) -> None:
    half = logits_of(3, 3.0).to(dtype).requires_grad_()
    single, double = half.detach().float().requires_grad_(), half.detach().double().requires_grad_()
    plain = LOSSES[name][2]
    ours, theirs, truth = value(name, half), plain(single.softmax(-1), LABELS), plain(double.softmax(-1), LABELS)
    assert ours.dtype == torch.float32
    assert worst(ours, truth) <= worst(theirs, truth) + 1e-6
    exact = gradient_of(truth, double)
    rounded = gradient_of(theirs, single).to(dtype)
    assert worst(gradient_of(ours, half), exact) <= worst(rounded, exact) + 1e-5


@every
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_reductions_and_weights_of_examples(name: str, reduction: str, weight: Tensor | None) -> None:
    logits = logits_of().requires_grad_()
    plain = LOSSES[name][2](logits.softmax(-1), LABELS)
    found = [losses.reduce(loss, cast(Any, reduction), weight=weight) for loss in (value(name, logits), plain)]
    close(found[0], found[1])
    close(gradient_of(found[0], logits), gradient_of(found[1], logits))


@every
def test_function_transforms(name: str) -> None:
    logits = logits_of()
    per_example = torch.func.vmap(torch.func.grad(lambda z, y: value(name, z, y)))(logits, LABELS)
    leaf = logits.clone().requires_grad_()
    close(per_example, gradient_of(value(name, leaf), leaf), 1e-13)


@every
def test_trap_15_errors(name: str) -> None:
    message = r"(labels|targets): .*below 2, the number of classes; got 2 at row 1; fix or drop that example"
    with pytest.raises(ValueError, match=message):
        value(name, torch.zeros(3, 2), torch.tensor([0, 2, 5]))
    with pytest.raises(ValueError, match=r"(labels|targets): shape \(3,\).*; got \(2,\); give one"):
        value(name, torch.zeros(3, 2), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="logits: at least 2 classes; got 1 in dimension -1; set class_dim"):
        value(name, torch.zeros(3, 1), torch.tensor([0, 0, 0]))
    with pytest.raises(TypeError, match=r"logits: a floating-point tensor; got dtype torch\.int64"):
        value(name, torch.zeros(3, 2, dtype=torch.int64), torch.tensor([0, 0, 0]))
    with pytest.raises((TypeError, ValueError), match=r"(labels|targets): .*integer.*; got .*float32"):
        value(name, torch.zeros(3, 2), torch.zeros(3))
