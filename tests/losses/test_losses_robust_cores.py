"""CORES: its loss as negative smoothing, and the examples that its sieve keeps."""

import pytest
import torch
from reference import penalties as slow
from small_batch import LABELS, K, N, every_reduction, logits_of, same, with_or_without_weights
from torch import Tensor

from softtargets import losses, targets


@every_reduction
@with_or_without_weights
def test_limits_cores_is_negative_smoothing_to_scale(reduction: str, weight: Tensor | None) -> None:
    w = 0.4
    with pytest.warns(UserWarning, match="negative"):
        negative = targets.smooth(LABELS, -w / (1 - w), allow_negative=True)
    same(
        reduction,
        weight,
        lambda z: losses.cores_loss(z, LABELS, weight=w),
        lambda z: (1 - w) * losses.cross_entropy(z, negative),
        atol=1e-12,
    )


def test_the_sieve_agrees_with_the_slow_loop_and_gets_no_gradient() -> None:
    logits = logits_of().repeat(20, 1) * torch.linspace(-1, 1, 20 * N, dtype=torch.float64)[:, None]
    labels = LABELS.repeat(20)
    keep = losses.cores_sieve(logits.requires_grad_(), labels)
    assert keep.dtype == torch.bool
    assert keep.tolist() == [slow.keeps(z, y) for z, y in zip(logits.tolist(), labels.tolist(), strict=True)]
    assert 0 < int(keep.sum()) < len(keep)
    own = logits.gather(-1, labels[:, None])[:, 0]
    assert torch.equal(keep, own >= logits.mean(-1))
    grid = losses.cores_sieve(logits.view(20, N, K).movedim(-1, 1), labels.view(20, N), class_dim=1)
    assert torch.equal(grid, keep.view(20, N))


def test_limits_the_sieve_keeps_uniform_and_predicted_labels() -> None:
    assert bool(losses.cores_sieve(torch.full((N, K), 0.3), LABELS).all())
    logits = logits_of()
    assert bool(losses.cores_sieve(logits, logits.argmax(-1)).all())


def test_errors() -> None:
    logits, labels = torch.zeros(2, 3), torch.tensor([0, 1])
    prior = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64)
    with pytest.raises(ValueError, match=r"weight: at least 0; got -1; choose 0 or more"):
        losses.cores_loss(logits, labels, weight=-1)
    with pytest.raises(ValueError, match="prior: 3 classes; got 4; give one probability per class"):
        losses.cores_loss(logits, labels, weight=1, prior=prior)
    with pytest.raises(ValueError, match=r"prior: a sum of 1; got 1\.8; divide it by its sum"):
        losses.cores_loss(logits, labels, weight=1, prior=2 * prior[:3])
