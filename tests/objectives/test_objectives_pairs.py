"""Mixup and peer loss: what is drawn, from which stream, and what is made of it."""

import math

import pytest
import torch
from objective_specs import numbers
from pydantic import TypeAdapter

from softtargets import losses, targets
from softtargets.objectives import AnyObjective, Batch, Objective, ObjectiveContext
from softtargets.objectives.mixup import draw_beta


def _objective(epochs: int = 1, **spec) -> Objective:
    context = ObjectiveContext(num_examples=20, num_classes=4, epochs=epochs)
    return TypeAdapter(AnyObjective).validate_python(spec).started(context)


def _batch(count: int = 6) -> tuple[Batch, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(count, 3, generator=generator)
    labels = torch.randint(0, 4, (count,), generator=generator)
    return Batch(inputs, labels, torch.arange(count) + 5), torch.randn(count, 4, generator=generator)


def test_mixup_mixes_inputs_and_targets_with_one_weight() -> None:
    objective = _objective(name="mixup", concentration=1.0, smoothing=0.2)
    batch, logits = _batch()
    mixed = objective.prepare(batch, torch.Generator().manual_seed(1))
    assert mixed.targets is not None
    index, value = mixed.targets.index, mixed.targets.value
    assert index is not None
    assert value is not None
    weight = float(value[0, 0]) / 0.8
    partner = [
        int(torch.nonzero((numbers(batch) * (1 - weight) - row).abs().sum(1) < 1e-5)[0])
        for row in numbers(mixed) - weight * numbers(batch)
    ]
    assert torch.equal(index[:, 1], batch.labels[partner])
    expected = weight * losses.cross_entropy(logits, targets.smooth(batch.labels, 0.2)) + (
        1 - weight
    ) * losses.cross_entropy(logits, targets.smooth(batch.labels[partner], 0.2))
    assert torch.allclose(objective.losses(logits, mixed), expected, atol=1e-5)


def test_mixup_weights_follow_the_beta_distribution() -> None:
    generator = torch.Generator().manual_seed(0)
    draws = torch.tensor([draw_beta(0.2, generator) for _ in range(4000)])
    # Beta(a, a) has mean 1/2 and variance 1 / (4 (2a + 1)); six standard errors
    assert abs(float(draws.mean()) - 0.5) < 0.04
    assert abs(float(draws.var()) - 1 / (4 * 1.4)) < 0.01


def test_peer_draws_inputs_and_labels_apart_from_the_methods_stream() -> None:
    objective = _objective(name="peer", weight=0.5, ramp_from=0.0, ramp_to=0.0)
    batch, logits = _batch()
    objective.prepare(batch, torch.Generator().manual_seed(7))
    found = objective.losses(logits, batch)
    again = torch.Generator().manual_seed(7)
    inputs = torch.randint(6, (6,), generator=again)
    labels = batch.labels[torch.randint(6, (6,), generator=again)]
    own = -logits.log_softmax(-1)[torch.arange(6), batch.labels]
    other = -logits[inputs].log_softmax(-1)[torch.arange(6), labels]
    assert not torch.equal(batch.labels[inputs], labels), "labels are drawn apart from inputs"
    torch.testing.assert_close(found, own - 0.5 * other)
    certain = objective.losses(1000 * logits, batch) - losses.cross_entropy(1000 * logits, batch.labels)
    assert float(certain.min()) == pytest.approx(0.5 * math.log(1e-8), rel=1e-5), "a pair takes away so much at most"
    # the stream goes on: the same batch meets other pairs
    assert not torch.equal(objective.losses(logits, batch), found)


def test_peer_is_cross_entropy_until_its_ramp() -> None:
    objective = _objective(epochs=10, name="peer", weight=2.0, ramp_from=0.2, ramp_to=0.4)
    batch, logits = _batch()
    own = losses.cross_entropy(logits, batch.labels)
    drawn = []
    for epoch in range(6):
        objective.prepare(batch, torch.Generator().manual_seed(7))
        drawn.append(objective.losses(logits, batch) - own)
        objective.end_epoch(epoch)
    assert torch.equal(drawn[2], torch.zeros(6))
    torch.testing.assert_close(drawn[3], drawn[5] / 2)
    torch.testing.assert_close(drawn[4], drawn[5])
    assert float(drawn[5].abs().min()) > 0
