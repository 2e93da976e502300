"""MaxSup: what it adds to cross entropy, example by example, and where it is label smoothing."""

import pytest
import torch
from small_batch import CLOSE, LABELS, N, every_reduction, logits_of, same, with_or_without_weights
from torch import Tensor

from softtargets import losses, targets


@every_reduction
@with_or_without_weights
def test_limits_max_suppression_is_smoothing_where_the_prediction_is_right(
    reduction: str, weight: Tensor | None
) -> None:
    right = logits_of().argmax(-1)
    same(
        reduction,
        weight,
        lambda z: losses.max_suppression_loss(z, right, smoothing=0.3),
        lambda z: losses.cross_entropy(z, targets.smooth(right, 0.3)),
        atol=1e-12,
    )


def test_max_suppression_is_cross_entropy_and_a_push_on_the_largest() -> None:
    same(
        "none",
        None,
        lambda z: losses.max_suppression_loss(z, LABELS, smoothing=0.3),
        lambda z: losses.cross_entropy(z, LABELS) + 0.3 * losses.mbls_penalty(z, margin=0.0),
        atol=1e-12,
    )


def test_trap_11_max_suppression_gives_every_example_its_own_value() -> None:
    logits = logits_of()
    loss = losses.max_suppression_loss(logits, LABELS, smoothing=0.3)
    assert len(set(loss.tolist())) == N
    push = loss - losses.cross_entropy(logits, LABELS)
    torch.testing.assert_close(push, 0.3 * (logits.amax(-1) - logits.mean(-1)), **CLOSE)


def test_errors() -> None:
    logits, labels = torch.zeros(2, 3), torch.tensor([0, 1])
    with pytest.raises(ValueError, match=r"smoothing: in \[0, 1\]; got 1.5; choose a value between 0 and 1"):
        losses.max_suppression_loss(logits, labels, smoothing=1.5)
    with pytest.raises(ValueError, match=r"smoothing: a number or shape \(2,\), one per example; got shape \(3,\)"):
        losses.max_suppression_loss(logits, labels, smoothing=torch.zeros(3))
