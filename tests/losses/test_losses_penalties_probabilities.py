"""Penalties: against hand-worked numbers and the slow loop."""

import math
from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from reference import losses as reference
from reference import penalties as slow
from small_batch import CLOSE, LABELS, K, N, every_reduction, fused_calls, gradient, logits_of, with_or_without_weights
from torch import Tensor

from softtargets import losses, targets


def pair(seed: int = 0, scale: float = 2.0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(5, 4, dtype=torch.float64, generator=generator) * scale
    return logits, torch.randn(5, 4, dtype=torch.float64, generator=generator).softmax(-1) * 0.9


def test_early_learning_by_hand() -> None:
    logits = torch.tensor([[math.log(2.0), 0.0, 0.0]], dtype=torch.float64)  # p = (1/2, 1/4, 1/4)
    running = torch.tensor([[0.8, 0.1, 0.1]], dtype=torch.float64)
    assert float(losses.elr_penalty(logits, running)) == pytest.approx(math.log(1 - 0.45), abs=1e-15)


@pytest.mark.parametrize(("scale", "eps"), [(1.0, 1e-4), (10.0, 1e-4), (1.0, 0.2)])
def test_early_learning_agrees_with_the_slow_loop(scale: float, eps: float) -> None:
    logits, running = pair()
    rows = zip((logits * scale).tolist(), running.tolist(), strict=True)
    expected = [reference.early_learning(z, t, eps) for z, t in rows]
    assert losses.elr_penalty(logits * scale, running, eps=eps).tolist() == pytest.approx(expected, abs=1e-12)


def test_early_learning_has_no_gradient_where_the_probability_is_clamped() -> None:
    logits = torch.tensor([[20.0, 0.0, 0.0]], dtype=torch.float64, requires_grad=True)
    penalty = losses.elr_penalty(logits, torch.tensor([[0.5, 0.3, 0.2]], dtype=torch.float64))
    assert float(penalty.detach()) == pytest.approx(math.log(1 - 0.5 * (1 - 1e-4) - 0.5 * 1e-4))
    assert torch.autograd.grad(penalty.sum(), logits)[0].tolist() == [[0, 0, 0]]


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weight", [None, torch.tensor([1.0, 0.0, 2.0, 1.0, 1.0]).double()])
def test_limits_without_a_belief_there_is_no_penalty(reduction: str, weight: torch.Tensor | None) -> None:
    logits = pair()[0].requires_grad_()
    penalty = losses.elr_penalty(logits, torch.zeros(5, 4))
    value = losses.reduce(penalty, reduction, weight=weight)  # pyright: ignore[reportArgumentType]
    assert bool((value == 0).all())
    assert bool((torch.autograd.grad(value.sum(), logits)[0] == 0).all())


def test_gradcheck_and_the_gradient_of_the_paper() -> None:
    logits, running = pair()
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: losses.elr_penalty(z, running), logits)
    (gradient,) = torch.autograd.grad(losses.elr_penalty(logits, running).sum(), logits)
    probs = logits.detach().softmax(-1)
    agreement = (probs * running).sum(-1, keepdim=True)
    # d/dz_k log(1 - <p, t>) = -p_k (t_k - <p, t>) / (1 - <p, t>)
    torch.testing.assert_close(gradient, -probs * (running - agreement) / (1 - agreement), rtol=0, atol=1e-14)


def test_the_belief_gets_no_gradient() -> None:
    logits, running = pair()
    running.requires_grad_()
    penalty = losses.elr_penalty(logits.requires_grad_(), running).sum()
    assert torch.autograd.grad(penalty, running, allow_unused=True)[0] is None


def test_the_floor() -> None:
    sure = torch.tensor([[1e4, 0.0, -1e4]], requires_grad=True)
    penalty = losses.elr_penalty(sure, torch.tensor([[1.0, 0.0, 0.0]]))
    assert float(penalty.detach()) == pytest.approx(math.log(1e-4), rel=1e-4)
    assert bool(torch.autograd.grad(penalty.sum(), sure)[0].isfinite().all())
    higher = losses.elr_penalty(sure, torch.tensor([[1.0, 0.0, 0.0]]), eps=0.1)
    assert float(higher.detach()) == pytest.approx(math.log(0.1))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_errs_no_more_than_the_plain_path(dtype: torch.dtype) -> None:
    logits, running = pair(4)
    half = logits.to(dtype)
    truth = losses.elr_penalty(half.double(), running)
    plain = torch.log(1 - (half.softmax(-1) * running.to(dtype)).sum(-1))
    ours = losses.elr_penalty(half, running)
    assert ours.dtype == torch.float32
    assert float((ours.double() - truth).abs().max()) <= float((plain.double() - truth).abs().max()) + 1e-6


def test_a_masked_logit_has_no_part() -> None:
    logits = torch.tensor([[0.5, -torch.inf, 0.1]], dtype=torch.float64, requires_grad=True)
    penalty = losses.elr_penalty(logits, torch.tensor([[0.3, 0.3, 0.4]], dtype=torch.float64))
    (gradient,) = torch.autograd.grad(penalty.sum(), logits)
    assert float(penalty.detach()) == pytest.approx(reference.early_learning([0.5, 0.1], [0.3, 0.4]), abs=1e-14)
    assert gradient[0, 1] == 0
    assert bool(gradient.isfinite().all())


def test_errors_of_early_learning() -> None:
    with pytest.raises(
        ValueError, match=r"running_targets: shape \(5, 4\), as the logits; got \(5,\); pass the running"
    ):
        losses.elr_penalty(torch.zeros(5, 4), torch.zeros(5))
    with pytest.raises(TypeError, match=r"logits: a floating-point tensor; got dtype torch.int64"):
        losses.elr_penalty(torch.zeros(5, 4, dtype=torch.int64), torch.zeros(5, 4))
    for bad in (torch.zeros(5, 4).numpy(), torch.zeros(5, 4).tolist(), None, torch.zeros(5, 4, dtype=torch.int64)):
        with pytest.raises(TypeError, match="running_targets: a floating-point tensor"):
            losses.elr_penalty(torch.zeros(5, 4), cast(Any, bad))
    with pytest.raises(ValueError, match="running_targets: probabilities of at least 0; got -1 at index"):
        losses.elr_penalty(torch.zeros(5, 4), -torch.eye(5)[:, :4])
    with pytest.raises(ValueError, match="running_targets: a sum of at most 1 over the classes; got 4 at row 0"):
        losses.elr_penalty(torch.zeros(5, 4), torch.ones(5, 4))
    with pytest.raises(ValueError, match=r"eps: in \[1e-06, 0.5\]; got 0"):
        losses.elr_penalty(torch.zeros(5, 4), torch.zeros(5, 4), eps=0)


Penalty = Callable[..., Tensor]
PENALTIES: dict[str, tuple[Penalty, Callable[[list[float], int], float]]] = {
    "confidence": (lambda z, y, **k: losses.confidence_penalty(z, **k), lambda z, y: slow.confidence(z)),
    "zipf": (losses.zipf_penalty, slow.zipf),
    "smoothing": (lambda z, y, **k: losses.smoothing_regularizer(z, **k), lambda z, y: slow.sum_of_all_losses(z)),
}
every_penalty = pytest.mark.parametrize("name", PENALTIES)


def reduced(values: Tensor, reduction: str, weight: Tensor | None) -> Tensor:
    return losses.reduce(values, cast(Any, reduction), weight=weight)


def test_the_others_by_hand() -> None:
    ln2 = math.log(2.0)
    logits = torch.tensor([[ln2, 0.0, 0.0]], dtype=torch.float64)  # p = (1/2, 1/4, 1/4)
    assert float(losses.confidence_penalty(logits)) == pytest.approx(-1.5 * ln2, abs=1e-15)
    assert float(losses.smoothing_regularizer(logits)) == pytest.approx(5 * ln2, abs=1e-15)
    # the non-targets are 2/3 and 1/3, as Zipf has them; where the label is 0 they are 1/2 and 1/2
    assert float(losses.zipf_penalty(logits, torch.tensor([1]))) == pytest.approx(0, abs=1e-15)
    halves = 2 / 3 * math.log(4 / 3) + 1 / 3 * math.log(2 / 3)
    assert float(losses.zipf_penalty(logits, torch.tensor([0]))) == pytest.approx(halves, abs=1e-15)


@every_penalty
def test_the_others_agree_with_the_slow_loop(name: str) -> None:
    penalty, loop = PENALTIES[name]
    logits = logits_of()
    expected = [loop(z, y) for z, y in zip(logits.tolist(), LABELS.tolist(), strict=True)]
    assert penalty(logits, LABELS).tolist() == pytest.approx(expected, abs=1e-12)


@every_penalty
def test_gradcheck_of_the_others(name: str) -> None:
    logits = logits_of().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: PENALTIES[name][0](z, LABELS), logits)
    assert torch.autograd.gradgradcheck(lambda z: PENALTIES[name][0](z, LABELS), logits)


@every_penalty
def test_invariance_to_shift_renaming_split_and_layout(name: str) -> None:
    penalty, logits = PENALTIES[name][0], logits_of()
    whole = penalty(logits, LABELS)
    torch.testing.assert_close(penalty(logits + 37.5, LABELS), whole, **CLOSE)
    order = torch.tensor([3, 1, 0, 2])
    torch.testing.assert_close(penalty(logits[:, order], order.argsort()[LABELS]), whole, **CLOSE)
    parts = [penalty(logits[i : i + 1], LABELS[i : i + 1]) for i in range(N)]
    torch.testing.assert_close(torch.cat(parts), whole, **CLOSE)
    grid = penalty(logits.view(2, 3, K).movedim(-1, 1), LABELS.view(2, 3), class_dim=1)
    torch.testing.assert_close(grid, whole.view(2, 3), **CLOSE)
    each = torch.func.vmap(torch.func.grad(penalty))(logits, LABELS)
    torch.testing.assert_close(each, gradient(lambda z: penalty(z, LABELS), logits), **CLOSE)


@every_penalty
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_logits_stay_finite(name: str, dtype: torch.dtype) -> None:
    logits = torch.tensor([[1e4, -1e4, 0.0, 1.0]], dtype=dtype).expand(4, K).clone()
    labels = torch.arange(4)
    assert bool(PENALTIES[name][0](logits, labels).isfinite().all())
    assert bool(gradient(lambda z: PENALTIES[name][0](z, labels), logits).isfinite().all())


@every_penalty
def test_trap_04_a_masked_class_has_no_part(name: str) -> None:
    penalty, loop = PENALTIES[name]
    kept = [0, 2, 3]
    logits = logits_of().masked_fill(torch.tensor([False, True, False, False]), -torch.inf)
    labels = torch.tensor([2, 0, 3, 0, 2, 0])
    rows = zip(logits[:, kept].tolist(), labels.tolist(), strict=True)
    expected = [loop(z, kept.index(y)) for z, y in rows]
    assert penalty(logits, labels).tolist() == pytest.approx(expected, abs=1e-12)
    made = gradient(lambda z: penalty(z, labels), logits)
    assert bool(made.isfinite().all())
    assert bool((made[:, 1] == 0).all())


def worst(values: Tensor, truth: Tensor) -> float:
    return float((values.detach().double() - truth.detach()).abs().max())


@every_penalty
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_others_in_half_precision(name: str, dtype: torch.dtype) -> None:
    penalty, half = PENALTIES[name][0], logits_of(5).to(dtype)
    truth, ours = penalty(half.double(), LABELS), penalty(half, LABELS)
    log_probs = half.log_softmax(-1)
    if name == "confidence":
        plain = (log_probs.exp() * log_probs).sum(-1)
    elif name == "smoothing":
        plain = -log_probs.sum(-1)
    else:
        others = half.masked_fill(torch.nn.functional.one_hot(LABELS, K).bool(), -torch.inf).log_softmax(-1)
        ranks = others.argsort(-1, descending=True).argsort(-1) + 1
        shares = torch.where(others.isinf(), 0, 6 / 11 / ranks).to(dtype)
        plain = torch.where(shares > 0, shares * (shares.log() - others), 0).sum(-1)
    assert ours.dtype == torch.float32
    assert worst(ours, truth) <= worst(plain, truth) + 1e-6
    assert worst(ours, penalty(half.float(), LABELS).double()) <= 1e-6


@every_reduction
@with_or_without_weights
def test_limits_of_the_confidence_penalty(reduction: str, weight: Tensor | None) -> None:
    ones = torch.ones(N, dtype=torch.float64)
    uniform = reduced(losses.confidence_penalty(torch.full((N, K), 3.0).double()), reduction, weight)
    torch.testing.assert_close(uniform, reduced(-math.log(K) * ones, reduction, weight), **CLOSE)
    certain = losses.confidence_penalty(torch.tensor([0.0, 1e3, 0, 0], dtype=torch.float64).expand(N, K))
    assert bool((reduced(certain, reduction, weight) == 0).all())


@every_reduction
@with_or_without_weights
def test_limits_of_the_zipf_penalty(reduction: str, weight: Tensor | None) -> None:
    two = logits_of()[:, :2].requires_grad_()
    value = reduced(losses.zipf_penalty(two, LABELS % 2), reduction, weight)
    assert bool((value == 0).all())
    assert bool((torch.autograd.grad(value.sum(), two)[0] == 0).all())
    # 7.0 is the label's; 1/2, 1/6 and 1/3 of some mass are proportional to 1, 1/3 and 1/2
    zipf = torch.tensor([math.log(1.0), 7.0, math.log(1 / 3), math.log(1 / 2)], dtype=torch.float64).expand(N, K)
    value = losses.zipf_penalty(zipf, torch.ones_like(LABELS))
    assert float(reduced(value, reduction, weight).abs().max()) < 1e-14


def test_the_zipf_penalty_leaves_the_label_alone_and_ends_at_zipf() -> None:
    logits = logits_of()
    made = gradient(lambda z: losses.zipf_penalty(z, LABELS), logits)
    assert bool((made.gather(-1, LABELS[:, None]) == 0).all())
    others = logits.masked_fill(torch.nn.functional.one_hot(LABELS, K).bool(), -torch.inf)
    ranks = others.argsort(-1, descending=True).argsort(-1) + 1
    shares = torch.where(ranks == K, 0, 6 / 11 / ranks.double())
    torch.testing.assert_close(made, others.softmax(-1) - shares, **CLOSE)


@pytest.mark.parametrize("r", [0.1, 0.9])
@every_reduction
@with_or_without_weights
def test_limits_label_smoothing_is_cross_entropy_and_the_regularizer(
    r: float, reduction: str, weight: Tensor | None
) -> None:
    beta = r / ((1 - r) * K)

    def parts(z: Tensor) -> Tensor:
        return (1 - r) * (losses.cross_entropy(z, LABELS) + beta * losses.smoothing_regularizer(z))

    made: list[Tensor] = []
    for loss in (parts, lambda z: losses.cross_entropy(z, targets.smooth(LABELS, r))):
        logits = logits_of().requires_grad_()
        value = reduced(loss(logits), reduction, weight)
        made.append(torch.cat([value.reshape(-1), torch.autograd.grad(value.sum(), logits)[0].reshape(-1)]).detach())
    torch.testing.assert_close(made[0], made[1], **CLOSE)


@every_reduction
@with_or_without_weights
def test_limits_the_regularizer_is_least_for_uniform_logits(reduction: str, weight: Tensor | None) -> None:
    least = torch.full((N,), K * math.log(K), dtype=torch.float64)
    uniform = reduced(losses.smoothing_regularizer(torch.zeros(N, K).double()), reduction, weight)
    torch.testing.assert_close(uniform, reduced(least, reduction, weight), **CLOSE)
    assert bool((losses.smoothing_regularizer(logits_of()) > least).all())


def test_errors() -> None:
    logits, labels = torch.zeros(2, 3), torch.tensor([0, 1])
    with pytest.raises(ValueError, match=r"labels: .*below 3.*; got 3 at row 1; fix or drop"):
        losses.zipf_penalty(logits, torch.tensor([0, 3]))
    with pytest.raises(ValueError, match=r"labels: shape \(2,\).*; got \(1,\); give one"):
        losses.zipf_penalty(logits, labels[:1])
    for penalty in (losses.confidence_penalty, losses.smoothing_regularizer):
        with pytest.raises(TypeError, match=r"logits: a floating-point tensor; got dtype torch.int64"):
            penalty(logits.long())
        with pytest.raises(ValueError, match="logits: at least 2 classes; got 1 in dimension -1; set class_dim"):
            penalty(torch.zeros(2, 1))


def test_zipf_of_a_label_that_is_the_only_class_is_0_with_gradient_0() -> None:
    z = torch.tensor([[0.0, -math.inf, -math.inf], [0.0, 1.0, 2.0]], dtype=torch.float64, requires_grad=True)
    loss = losses.zipf_penalty(z, torch.tensor([0, 0]))
    (gradient,) = torch.autograd.grad(loss.sum(), z)
    assert loss[0].item() == 0
    assert gradient[0].tolist() == [0, 0, 0]
    assert bool(gradient.isfinite().all())


def test_the_gradient_of_the_regularizer_waits_for_its_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    made = fused_calls(monkeypatch)
    loss = losses.smoothing_regularizer(logits_of().requires_grad_())
    assert made == [False]
    (0.3 * loss.mean()).backward()
    assert made == [False, True]
