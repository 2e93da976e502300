"""LS++: the two halves of the loss, who learns from which, and why."""

import math
from typing import Any

import pytest
import torch
from reference import penalties as slow
from small_batch import fused_calls
from torch import Tensor

from softtargets import losses, targets

N, K, R = 6, 4, 0.3
LABELS = torch.tensor([2, 0, 3, 1, 2, 0])
CLOSE: Any = {"rtol": 0, "atol": 1e-12}
WEIGHTS = torch.tensor([1.0, 0.0, 2.0, 0.5, 1.0, 3.0], dtype=torch.float64)
LOSS = losses.learned_smoothing_cross_entropy


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 2


def target_of(table: Tensor, smoothing: float = R) -> Tensor:
    """Return the (K, K) targets of all labels."""
    label = torch.eye(K, dtype=torch.bool)
    return (1 - smoothing) * label.to(table.dtype) + smoothing * table.masked_fill(label, -torch.inf).softmax(-1)


def gradients(logits: Tensor, table: Tensor, **settings: Any) -> tuple[Tensor, ...]:
    pair = (logits.clone().requires_grad_(), table.clone().requires_grad_())
    return torch.autograd.grad(LOSS(pair[0], LABELS, pair[1], smoothing=R, **settings).sum(), pair)


def test_by_hand() -> None:
    # p = (1/2, 1/4, 1/4), t = (3/5, 3/10, 1/10) where the shares are 3/4 and 1/4
    logits = torch.tensor([[math.log(2.0), 0.0, 0.0]], dtype=torch.float64)
    table = torch.tensor([[99.0, math.log(3.0), 0.0], [0, 0, 0], [0, 0, 0]], dtype=torch.float64)
    of_model = (0.6 + 2 * 0.3 + 2 * 0.1) * math.log(2.0)
    of_table = -(math.log(0.6) / 2 + math.log(0.3) / 4 + math.log(0.1) / 4)
    value = LOSS(logits, torch.tensor([0]), table, smoothing=0.4)
    assert float(value) == pytest.approx((of_model + of_table) / 2, abs=1e-15)


def test_agrees_with_the_slow_loop() -> None:
    logits, table = random(N, K), random(K, K, seed=1)
    rows = zip(logits.tolist(), LABELS.tolist(), strict=True)
    expected = [slow.learned_smoothing(z, y, table[y].tolist(), R) for z, y in rows]
    assert LOSS(logits, LABELS, table, smoothing=R).tolist() == pytest.approx(expected, abs=1e-12)


def test_the_model_learns_from_the_first_half_and_the_table_from_the_second() -> None:
    logits, table = random(N, K), random(K, K, seed=1)
    of_logits, of_table = gradients(logits, table)
    probs, target = logits.softmax(-1), target_of(table)
    torch.testing.assert_close(of_logits, (probs - target[LABELS]) / 2, **CLOSE)
    # of half of -sum_k p_k log t_k over the scores of the others: shares * (1 - p_label) - p
    others = probs.scatter(-1, LABELS[:, None], 0.0)
    each = (target / R)[LABELS].scatter(-1, LABELS[:, None], 0.0) * others.sum(-1, keepdim=True) - others
    expected = torch.zeros(K, K, dtype=torch.float64).index_add(0, LABELS, each / 2)
    torch.testing.assert_close(of_table, expected, **CLOSE)
    assert bool((of_table.diagonal() == 0).all())


def test_the_halves_have_the_gradients_of_their_values() -> None:
    # with the other's part held still: a finite difference in the logits moves the second half, too, and is not asked
    table = random(K, K, seed=1).requires_grad_()
    logits = random(N, K)
    constant = losses.cross_entropy(logits, targets.dense(target_of(table.detach())[LABELS])) / 2

    def of_table(scores: Tensor) -> Tensor:
        frozen = losses.cross_entropy(logits, targets.dense(target_of(scores.detach())[LABELS])) / 2
        return LOSS(logits, LABELS, scores, smoothing=R) - frozen + constant

    assert torch.autograd.gradcheck(of_table, table)
    assert torch.autograd.gradgradcheck(of_table, table)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weight", [None, WEIGHTS], ids=["plain", "weighted"])
def test_limits_a_table_of_zeros_is_half_of_smoothing_over_the_others(reduction: Any, weight: Tensor | None) -> None:
    made: list[Tensor] = []
    smooth = targets.smooth(LABELS, R, num_classes=K, convention="others")
    for loss in (lambda z: LOSS(z, LABELS, torch.zeros(K, K), smoothing=R), lambda z: losses.cross_entropy(z, smooth)):
        logits = random(N, K).requires_grad_()
        value = losses.reduce(loss(logits), reduction, weight=weight)
        made.append(torch.autograd.grad(value.sum(), logits)[0])
    torch.testing.assert_close(made[0], made[1] / 2, rtol=0, atol=1e-7)


PROBS = torch.tensor([[0.5, 0.3, 0.15, 0.05], [0.6, 0.25, 0.1, 0.05]], dtype=torch.float64)  # two examples of class 0
OTHERS = PROBS[:, 1:].mean(0) / PROBS[:, 1:].mean(0).sum()


def learn(loss: Any, rate: float) -> Tensor:
    """Return the shares of the classes other than 0 when only the table learns."""
    table = torch.zeros(K, K, dtype=torch.float64, requires_grad=True)
    for _ in range(200):
        (slope,) = torch.autograd.grad(loss(table), table)
        with torch.no_grad():
            table -= rate * slope
    return target_of(table.detach())[0, 1:] / R


def test_the_table_learns_the_models_own_confusions() -> None:
    shares = learn(lambda table: LOSS(PROBS.log(), torch.zeros(2).long(), table, smoothing=R).mean(), rate=10.0)
    torch.testing.assert_close(shares, OTHERS, rtol=0, atol=1e-6)


def test_why_the_first_half_is_kept_from_the_table() -> None:
    """The cross entropy against t is linear in the shares: its least value is at a corner."""
    shares = learn(lambda table: -(target_of(table)[0] * PROBS.log()).sum(-1).mean(), rate=50.0)
    assert int(shares.argmax()) == int(OTHERS.argmax())
    assert float(shares.max()) > 0.99


def test_invariance_to_shift_renaming_split_and_layout() -> None:
    logits, table = random(N, K), random(K, K, seed=1)

    def loss(z: Tensor, y: Tensor, c: Tensor = table, **settings: Any) -> Tensor:
        return LOSS(z, y, c, smoothing=R, **settings)

    whole = loss(logits, LABELS)
    torch.testing.assert_close(loss(logits + 37.5, LABELS), whole, **CLOSE)
    torch.testing.assert_close(loss(logits, LABELS, table + 5), whole, **CLOSE)
    torch.testing.assert_close(loss(logits, LABELS, table + 7 * torch.eye(K)), whole, **CLOSE)
    order = torch.tensor([3, 1, 0, 2])
    renamed = loss(logits[:, order], order.argsort()[LABELS], table[order][:, order])
    torch.testing.assert_close(renamed, whole, **CLOSE)
    parts = [loss(logits[i : i + 1], LABELS[i : i + 1]) for i in range(N)]
    torch.testing.assert_close(torch.cat(parts), whole, **CLOSE)
    grid = loss(logits.view(2, 3, K).movedim(-1, 1), LABELS.view(2, 3), class_dim=1)
    torch.testing.assert_close(grid, whole.view(2, 3), **CLOSE)
    torch.testing.assert_close(loss(logits.T.contiguous().T, LABELS), whole, **CLOSE)
    assert torch.equal(loss(logits, LABELS.to(torch.uint8)), whole)
    each = torch.func.vmap(torch.func.grad(lambda z, y: loss(z, y)))(logits, LABELS)
    torch.testing.assert_close(each, gradients(logits, table)[0], **CLOSE)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_logits_and_scores_stay_finite(dtype: torch.dtype) -> None:
    extreme = torch.tensor([[1e4, -1e4, 0.0, 1.0]], dtype=dtype)
    pair = (extreme.expand(4, K).clone().requires_grad_(), extreme.expand(4, K).clone().requires_grad_())
    value = LOSS(pair[0], torch.arange(4), pair[1])
    assert bool(value.isfinite().all())
    assert all(bool(g.isfinite().all()) for g in torch.autograd.grad(value.sum(), pair))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_errs_no_more_than_the_plain_path(dtype: torch.dtype) -> None:
    half, table = random(N, K, seed=5).to(dtype), random(K, K, seed=1).to(dtype)
    truth = LOSS(half.double(), LABELS, table.double(), smoothing=R)
    ours = LOSS(half, LABELS, table, smoothing=R)
    target = target_of(table)[LABELS]
    plain = -(target * half.log_softmax(-1) + half.softmax(-1) * target.log()).sum(-1) / 2
    assert ours.dtype == torch.float32
    assert float((ours.double() - truth).abs().max()) <= float((plain.double() - truth).abs().max()) + 1e-6


def test_errors() -> None:
    logits, labels, table = torch.zeros(2, 3), torch.tensor([0, 1]), torch.zeros(3, 3)
    with pytest.raises(ValueError, match="table: 3 rows, one per class; got 4; give one row of scores per class"):
        LOSS(logits, labels, torch.zeros(4, 4))
    with pytest.raises(ValueError, match=r"table: a \(K, K\) matrix with K >= 2; got shape \(3, 2\)"):
        LOSS(logits, labels, torch.zeros(3, 2))
    for smoothing in (0.0, 1.0):
        with pytest.raises(
            ValueError, match=f"smoothing: between 0 and 1, both excluded; got {smoothing}; use targets"
        ):
            LOSS(logits, labels, table, smoothing=smoothing)
    with pytest.raises(ValueError, match=r"smoothing: in \[0, 1\]; got 1.5; choose a value between them"):
        LOSS(logits, labels, table, smoothing=1.5)
    with pytest.raises(ValueError, match=r"targets: .*below 3.*; got 3 at row 1; fix or drop"):
        LOSS(logits, torch.tensor([0, 3]), table)
    with pytest.raises(TypeError, match=r"logits: a floating-point tensor; got dtype torch.int64"):
        LOSS(logits.long(), labels, table)


def test_the_gradient_of_the_model_waits_for_its_half(monkeypatch: pytest.MonkeyPatch) -> None:
    made = fused_calls(monkeypatch)
    z = torch.zeros(2, 3, requires_grad=True)
    losses.learned_smoothing_cross_entropy(z, torch.tensor([0, 1]), torch.zeros(3, 3)).mean().backward()
    assert made == [False, True]
