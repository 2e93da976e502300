"""Bootstrapping: what the model's own prediction in the target does to the gradient, and pseudo-labels."""

from functools import partial
from typing import Any, cast

import pytest
import torch
from small_batch import CLOSE, LABELS, K, every_reduction, gradient, logits_of, with_or_without_weights
from torch import Tensor

from softtargets import losses


@every_reduction
@with_or_without_weights
def test_limits_a_detached_soft_target_is_a_share_of_cross_entropys_gradient(
    reduction: str, weight: Tensor | None
) -> None:
    made: list[Tensor] = []
    for loss in (partial(losses.bootstrapped_cross_entropy, detach=True), losses.cross_entropy):
        logits = logits_of().requires_grad_()
        value = losses.reduce(loss(logits, LABELS), cast(Any, reduction), weight=weight)
        made.append(torch.autograd.grad(value.sum(), logits)[0])
    torch.testing.assert_close(made[0], 0.95 * made[1], **CLOSE)


def test_a_pseudo_label_takes_the_place_of_a_label_that_is_missing() -> None:
    logits, weight = logits_of(), torch.tensor([0.0, 0.8, 0.0, 1.0, 0.0, 0.8], dtype=torch.float64)
    predicted = logits.argmax(-1)
    for made_up in (torch.zeros_like(LABELS), torch.full_like(LABELS, K - 1)):
        labels = torch.where(weight == 0, made_up, LABELS)
        loss = losses.bootstrapped_cross_entropy(logits, labels, weight=weight, kind="hard")
        torch.testing.assert_close(loss[weight == 0], losses.cross_entropy(logits, predicted)[weight == 0], **CLOSE)
        torch.testing.assert_close(loss[3], losses.cross_entropy(logits, LABELS)[3], **CLOSE)
        soft = losses.bootstrapped_cross_entropy(logits, labels, weight=weight)
        probs = logits.softmax(-1)
        torch.testing.assert_close(soft[0], -(probs * probs.log()).sum(-1)[0], **CLOSE)


def test_the_gradient_of_a_soft_target_that_learns_is_the_entropys() -> None:
    logits = logits_of()
    made = gradient(lambda z: losses.bootstrapped_cross_entropy(z, LABELS, weight=0.0), logits)
    log_probs = logits.log_softmax(-1)
    entropy = -(log_probs.exp() * log_probs).sum(-1, keepdim=True)
    torch.testing.assert_close(made, -log_probs.exp() * (log_probs + entropy), **CLOSE)


def test_errors() -> None:
    logits, labels = torch.zeros(2, 3), torch.tensor([0, 1])
    with pytest.raises(ValueError, match=r"weight: a number or shape \(2,\), one per example; got shape \(3,\)"):
        losses.bootstrapped_cross_entropy(logits, labels, weight=torch.ones(3))
    with pytest.raises(ValueError, match=r"kind: one of soft, hard; got 'sof'; did you mean 'soft'\?"):
        losses.bootstrapped_cross_entropy(logits, labels, kind=cast(Any, "sof"))
