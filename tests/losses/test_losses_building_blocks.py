"""Cross entropy as a part of other losses: the numbers of cross_entropy, and when the gradient is computed."""

from typing import Any, cast

import pytest
import torch
from small_batch import LABELS, RATES, every_reduction, fused_calls, logits_of, same, with_or_without_weights
from torch import Tensor

from softtargets import losses, targets
from softtargets.losses.building_blocks import deferred_cross_entropy, label_log_prob, reduced_cross_entropy
from softtargets.losses.inputs import read_examples


@every_reduction
@with_or_without_weights
def test_the_parts_have_the_numbers_of_cross_entropy(reduction: str, weight: Tensor | None) -> None:
    made = targets.smooth(LABELS, RATES)
    same(reduction, weight, lambda z: deferred_cross_entropy(z, made), lambda z: losses.cross_entropy(z, made))
    same(reduction, weight, lambda z: -label_log_prob(z, LABELS), lambda z: losses.cross_entropy(z, LABELS))
    logits = logits_of()
    reduced = reduced_cross_entropy(read_examples(logits, made), logits, cast(Any, reduction), weight=weight)
    expected = losses.reduce(losses.cross_entropy(logits, made), cast(Any, reduction), weight=weight)
    assert torch.equal(reduced, expected)


def test_a_deferred_gradient_is_computed_once_in_the_backward_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    made = fused_calls(monkeypatch)
    (0.3 * deferred_cross_entropy(logits_of().requires_grad_(), LABELS)).mean().backward()
    assert made == [False, True]


def test_the_gradient_of_a_weighted_mean_is_computed_once_in_the_forward_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    made = fused_calls(monkeypatch)
    weight = torch.linspace(0, 1, len(LABELS), dtype=torch.float64)
    logits = logits_of().requires_grad_()
    reduced_cross_entropy(read_examples(logits, LABELS), logits, "mean", weight=weight).backward()
    assert made == [True]
