"""Peer loss: how peers are drawn, and what it is on average."""

import math
from collections import Counter
from typing import Any, cast

import pytest
import torch
from reference import penalties as slow
from small_batch import CLOSE, LABELS, K, N, every_reduction, logits_of, with_or_without_weights
from torch import Tensor

from softtargets import losses


@every_reduction
@with_or_without_weights
def test_limits_the_expected_peer_loss_is_cores_with_the_batchs_label_frequencies(
    reduction: str, weight: Tensor | None
) -> None:
    logits, alpha = logits_of(), 0.7
    pairs = [(logits[j : j + 1], LABELS[k : k + 1]) for j in range(N) for k in range(N)]
    peers = torch.stack([losses.peer_loss(logits, LABELS, weight=alpha, pool=pair) for pair in pairs]).mean(0)
    frequencies = torch.bincount(LABELS, minlength=K).double() / N
    own = losses.cross_entropy(logits, LABELS)
    correction = (losses.cores_loss(logits, LABELS, weight=alpha, prior=frequencies) - own).mean()
    torch.testing.assert_close(
        losses.reduce(peers, cast(Any, reduction), weight=weight),
        losses.reduce(own + correction, cast(Any, reduction), weight=weight),
        **CLOSE,
    )


def test_peers_are_drawn_evenly_and_independently() -> None:
    generator = torch.Generator().manual_seed(0)
    inputs, answers = logits_of()[:4], torch.tensor([0, 1, 3])
    draws = 24_000
    loss = losses.peer_loss(
        torch.zeros(draws, K, dtype=torch.float64),
        torch.zeros(draws, dtype=torch.int64),
        generator=generator,
        pool=(inputs, answers),
    )
    values = {
        round(slow.peer([0.0] * K, 0, z, k, 1.0), 9): (j, k)
        for j, z in enumerate(inputs.tolist())
        for k in answers.tolist()
    }
    seen = Counter(values[round(value, 9)] for value in loss.tolist())
    assert len(seen) == 12
    deviation = math.sqrt(draws * 1 / 12 * 11 / 12)
    assert max(abs(count - draws / 12) for count in seen.values()) < 4 * deviation


def test_a_generator_repeats_the_draws_and_every_layout_draws_alike() -> None:
    logits = logits_of()

    def drawn(seed: int, z: Tensor = logits, y: Tensor = LABELS, **settings: Any) -> Tensor:
        return losses.peer_loss(
            z,
            y,
            weight=torch.linspace(0, 1, N).double().view(y.shape),
            generator=torch.Generator().manual_seed(seed),
            **settings,
        )

    assert torch.equal(drawn(0), drawn(0))
    assert not torch.equal(drawn(0), drawn(1))
    grid = drawn(0, logits.view(2, 3, K).movedim(-1, 1), LABELS.view(2, 3), class_dim=1)
    torch.testing.assert_close(grid, drawn(0).view(2, 3), **CLOSE)
    torch.testing.assert_close(drawn(0, logits + 37.5), drawn(0), **CLOSE)
    order = torch.tensor([3, 1, 0, 2])
    torch.testing.assert_close(drawn(0, logits[:, order], order.argsort()[LABELS]), drawn(0), **CLOSE)
    assert losses.peer_loss(logits, LABELS).shape == (N,)  # torch's own generator


def test_gradcheck_of_peers() -> None:
    def loss(z: Tensor, pool: Tensor) -> Tensor:
        draws = torch.Generator().manual_seed(3)
        return losses.peer_loss(z, LABELS, weight=0.5, generator=draws) + losses.peer_loss(
            z, LABELS, pool=(pool, LABELS[:1])
        )

    pair = (logits_of().requires_grad_(), logits_of(1)[:1].requires_grad_())
    assert torch.autograd.gradcheck(loss, pair)
    assert torch.autograd.gradgradcheck(loss, pair)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_peers_in_half_precision_and_at_extreme_logits(dtype: torch.dtype) -> None:
    half, draws = logits_of(5).to(dtype), torch.Generator()
    wide = losses.peer_loss(half.float(), LABELS, generator=draws.manual_seed(0))
    ours = losses.peer_loss(half, LABELS, generator=draws.manual_seed(0))
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, wide, rtol=0, atol=1e-6)
    extreme = torch.tensor([[1e4, -1e4, 0.0, 1.0]], dtype=dtype).expand(4, K).clone().requires_grad_()
    value = losses.peer_loss(extreme, torch.arange(4))
    assert bool(value.isfinite().all())
    assert bool(torch.autograd.grad(value.sum(), extreme)[0].isfinite().all())


def test_a_peer_of_weight_0_may_be_masked() -> None:
    z = torch.tensor([[-math.inf, 1.0, 2.0]], dtype=torch.float64)
    own = torch.tensor([[0.0, 1.0, 2.0]], dtype=torch.float64, requires_grad=True)
    pool = (z.requires_grad_(), torch.tensor([0]))
    for weight in (0.0, torch.zeros(1, dtype=torch.float64)):
        loss = losses.peer_loss(own, torch.tensor([1]), weight=weight, pool=pool)
        assert torch.equal(loss, losses.cross_entropy(own, torch.tensor([1])))
        assert torch.autograd.grad(loss.sum(), z)[0].tolist() == [[0, 0, 0]]


def test_errors() -> None:
    logits, labels = torch.zeros(2, 3), torch.tensor([0, 1])
    with pytest.raises(ValueError, match=r"weight: at least 0; got -1; choose 0 or more"):
        losses.peer_loss(logits, labels, weight=-1)
    pool = r"pool: \(M, 3\) logits and \(L,\) labels, not empty; got shapes \(2, 3\) and \(0,\); give one row"
    with pytest.raises(ValueError, match=pool):
        losses.peer_loss(logits, labels, pool=(logits, labels[:0]))
    with pytest.raises(ValueError, match=r"pool: .*below 3.*got 3 at row 1"):
        losses.peer_loss(logits, labels, pool=(logits, torch.tensor([0, 3])))


def test_a_pair_whose_loss_is_infinite_subtracts_nothing() -> None:
    """A drawn label that the drawn input rules out; the own label, too, gave NaN."""
    logits = torch.tensor([[-torch.inf, 0.0, 1.0], [2.0, 0.0, -torch.inf]], dtype=torch.float64, requires_grad=True)
    for labels in (torch.tensor([1, 0]), torch.eye(3, dtype=torch.float64)[[1, 0]]):
        pool = (logits[:1], torch.tensor([0]))  # every pair: input 0 with label 0
        found = losses.peer_loss(logits, labels, pool=pool)
        torch.testing.assert_close(found, losses.cross_entropy(logits, torch.tensor([1, 0])), rtol=0, atol=1e-14)
        (gradient,) = torch.autograd.grad(found.sum(), logits)
        assert bool(gradient.isfinite().all())
    impossible = losses.peer_loss(logits, torch.tensor([0, 2]), generator=torch.Generator().manual_seed(1))
    assert impossible.tolist() == [math.inf, math.inf]


WRONG_POOLS = {
    "one tensor": (torch.zeros(2, 3), "pool: a pair .*; got Tensor"),
    "three": ((torch.zeros(2, 3),) * 3, "pool: a pair .*; got 3 entries"),
    "a list of labels": ((torch.zeros(2, 3), [0, 1]), "pool: labels as a tensor, or Targets; got list"),
    "numpy": ((torch.zeros(2, 3).numpy(), torch.tensor([0])), "pool: a floating-point tensor; got ndarray"),
    "a column": ((torch.zeros(2, 3), torch.zeros(2, 1).long()), r"pool: \(M, 3\) logits and \(L,\) labels"),
    "other classes": ((torch.zeros(2, 4), torch.tensor([0])), r"pool: \(M, 3\) logits and \(L,\) labels"),
    "a label that is no class": ((torch.zeros(2, 3), torch.tensor([3])), "pool: labels of at least 0 and below 3"),
}


@pytest.mark.parametrize("case", WRONG_POOLS)
def test_wrong_pools(case: str) -> None:
    pool, message = WRONG_POOLS[case]
    with pytest.raises((ValueError, TypeError), match=message):
        losses.peer_loss(torch.zeros(2, 3), torch.tensor([0, 1]), pool=cast(Any, pool))
    with pytest.raises(TypeError, match=r"generator: a torch.Generator or None; got int"):
        losses.peer_loss(torch.zeros(2, 3), torch.tensor([0, 1]), generator=cast(Any, 0))
