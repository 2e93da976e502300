"""A batch of six examples and four classes, and the comparison of two losses on it."""

from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from softtargets import losses

N, K = 6, 4
LABELS = torch.tensor([2, 0, 3, 1, 2, 0])
RATES = torch.linspace(0, 1, N, dtype=torch.float64)
WEIGHTS = torch.tensor([1.0, 0.0, 2.0, 0.5, 1.0, 3.0], dtype=torch.float64)
CLOSE: Any = {"rtol": 0, "atol": 1e-12}

every_reduction = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
with_or_without_weights = pytest.mark.parametrize("weight", [None, WEIGHTS], ids=["plain", "weighted"])


def logits_of(seed: int = 0, scale: float = 2.0) -> Tensor:
    return torch.randn(N, K, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * scale


def gradient(loss: Callable[[Tensor], Tensor], logits: Tensor) -> Tensor:
    leaf = logits.detach().clone().requires_grad_()
    return torch.autograd.grad(loss(leaf).sum(), leaf)[0]


def same(
    reduction: str,
    weight: Tensor | None,
    loss: Callable[[Tensor], Tensor],
    limit: Callable[[Tensor], Tensor],
    *,
    atol: float = 1e-14,
) -> None:
    """Require two functions of logits to agree in value and gradient under a reduction."""
    made: list[Tensor] = []
    for of in (loss, limit):
        logits = logits_of().requires_grad_()
        value = losses.reduce(of(logits), cast(Any, reduction), weight=weight)
        made.append(torch.cat([value.reshape(-1), torch.autograd.grad(value.sum(), logits)[0].reshape(-1)]).detach())
    torch.testing.assert_close(made[0], made[1], rtol=1e-15, atol=atol)  # a few units in the last place


def fused_calls(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Record, for every pass over the rows of a cross entropy from now on, whether its gradient was computed too."""
    from softtargets.losses._engine import cross_entropy, label_path

    made: list[bool] = []

    def record(module: Any, name: str) -> None:
        compute = getattr(module, name)

        def recording(*arguments: Any) -> Tensor | None:
            result = compute(*arguments)
            if result is not None:
                made.append(arguments[-1] is not None)
            return result

        monkeypatch.setattr(module, name, recording)

    for name in ("cross_entropy_rows", "cross_entropy_total"):
        record(cross_entropy, name)
    for name in ("label_losses", "label_total"):
        record(label_path, name)
    return made
