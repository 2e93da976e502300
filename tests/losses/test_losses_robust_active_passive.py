"""Normalised losses and the pairs of active and passive ones."""

import math
from typing import Any, cast

import pytest
import torch
from reference import robust as reference
from torch import Tensor

from softtargets import losses

N, K = 6, 4
LABELS = torch.tensor([2, 0, 3, 1, 2, 2])
HALF = torch.tensor([[math.log(2.0), 0.0, 0.0]], dtype=torch.float64)  # p = (1/2, 1/4, 1/4)
WEIGHT = torch.tensor([1.0, 0.0, 2.0, 0.5, 1.0, 3.0], dtype=torch.float64)


def logits_of(seed: int = 0) -> Tensor:
    return torch.randn(N, K, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 2


def test_numbers_by_hand() -> None:
    # log p = -(1, 2, 2) log 2
    found = losses.normalized_cross_entropy(HALF.expand(2, 3), torch.tensor([0, 1]))
    assert found.tolist() == pytest.approx([0.2, 0.4], abs=1e-15)
    pair = losses.active_passive_loss(HALF, torch.tensor([1]), active_weight=10.0, passive_weight=0.1)
    assert float(pair) == pytest.approx(10 * 0.4 + 0.1 * 0.75 * math.log(1e4), abs=1e-14)


def test_agrees_with_the_slow_loops() -> None:
    rows = list(zip(logits_of().tolist(), LABELS.tolist(), strict=True))
    normalized = [reference.normalized(z, y) for z, y in rows]
    reverse = [reference.reverse(z, y, 1e-4) for z, y in rows]
    assert losses.normalized_cross_entropy(logits_of(), LABELS).tolist() == pytest.approx(normalized, abs=1e-12)
    expected = [10 * a + 0.1 * b for a, b in zip(normalized, reverse, strict=True)]
    found = losses.active_passive_loss(logits_of(), LABELS, active_weight=10.0, passive_weight=0.1)
    assert found.tolist() == pytest.approx(expected, abs=1e-12)


def test_limits_of_normalized() -> None:
    flat = losses.normalized_cross_entropy(torch.full((N, K), 7.0).double(), LABELS)
    torch.testing.assert_close(flat, torch.full((N,), 1 / K).double(), rtol=0, atol=1e-15)
    each = [losses.normalized_cross_entropy(logits_of(), torch.full((N,), k)) for k in range(K)]
    torch.testing.assert_close(torch.stack(each).sum(0), torch.ones(N).double(), rtol=0, atol=1e-14)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize(
    ("settings", "factor", "part"),
    [
        ({"active_weight": 10.0, "passive_weight": 0.0}, 10.0, losses.normalized_cross_entropy),
        ({"active_weight": 0.0, "passive_weight": 0.1}, 0.1, losses.reverse_cross_entropy),
    ],
)
def test_limits_of_the_pair(reduction: str, weight: Tensor | None, settings: Any, factor: float, part: Any) -> None:
    made: list[Tensor] = []
    for loss in (lambda z: losses.active_passive_loss(z, LABELS, **settings), lambda z: factor * part(z, LABELS)):
        logits = logits_of().requires_grad_()
        value = losses.reduce(loss(logits), cast(Any, reduction), weight=weight)
        made.append(torch.cat([value.reshape(-1), torch.autograd.grad(value.sum(), logits)[0].reshape(-1)]).detach())
    torch.testing.assert_close(made[0], made[1], rtol=0, atol=1e-14)


def test_the_parts_are_any_functions_of_logits_with_the_classes_last() -> None:
    grid, labels = logits_of().view(2, 3, K).movedim(-1, 1), LABELS.view(2, 3)

    def margin(logits: Tensor, labels: Tensor) -> Tensor:
        assert logits.shape == (2, 3, K)
        return logits.amax(-1) - logits.gather(-1, labels[..., None])[..., 0]

    settings = {"active": losses.focal_loss, "passive": margin, "class_dim": 1}
    found = losses.active_passive_loss(grid, labels, active_weight=0.5, **cast(Any, settings))
    expected = 0.5 * losses.focal_loss(grid, labels, class_dim=1) + margin(grid.movedim(1, -1), labels)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)
    # NCE + MAE
    nce_mae = losses.active_passive_loss(logits_of(), LABELS, passive=losses.mean_absolute_error)
    parts = (losses.normalized_cross_entropy, losses.mean_absolute_error)
    torch.testing.assert_close(nce_mae, sum(part(logits_of(), LABELS) for part in parts), rtol=0, atol=1e-14)


@pytest.mark.parametrize("argument", ["active_weight", "passive_weight"])
def test_errors(argument: str) -> None:
    with pytest.raises(ValueError, match=rf"{argument}: at least 0; got -1; choose 0 or more"):
        losses.active_passive_loss(HALF, torch.tensor([0]), **cast(Any, {argument: -1.0}))


def test_trap_04_a_masked_label_has_the_limit_of_an_improbable_one() -> None:
    z = torch.tensor([[-math.inf, 1.0, 2.0], [-1e9, 1.0, 2.0]], dtype=torch.float64, requires_grad=True)
    first = torch.tensor([0, 0])
    for loss, limit in ((losses.normalized_cross_entropy, 1.0), (losses.active_passive_loss, 1 + math.log(1e4))):
        value = loss(z, first)
        (gradient,) = torch.autograd.grad(value.sum(), z)
        assert value.tolist() == pytest.approx([limit, limit], abs=1e-6)
        torch.testing.assert_close(gradient, torch.zeros_like(z), rtol=0, atol=1e-6)


def test_an_active_weight_of_0_hides_an_infinite_loss() -> None:
    z = torch.tensor([[-math.inf, 1.0, 2.0]], dtype=torch.float64, requires_grad=True)
    loss = losses.active_passive_loss(z, torch.tensor([0]), active_weight=0.0, active=losses.cross_entropy)
    assert loss.tolist() == pytest.approx([math.log(1e4)])
    assert torch.autograd.grad(loss.sum(), z)[0].tolist() == [[0, 0, 0]]
