"""Objectives by name, against the library's functions and by hand; the registry against the specifications."""

import pytest
import torch
from pydantic import TypeAdapter

from softtargets import losses, noise, targets
from softtargets.runs.spec import ObjectiveSpec
from softtargets.train.objectives import OBJECTIVES, Batch, Objective, Problem, build_objective, objective_names

PROBLEM = Problem(num_examples=20, num_classes=4)


def _objective(**spec) -> Objective:
    return build_objective(TypeAdapter(ObjectiveSpec).validate_python(spec), PROBLEM)


def _batch(count: int = 6) -> tuple[Batch, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(count, 3, generator=generator)
    labels = torch.randint(0, 4, (count,), generator=generator)
    return Batch(inputs, labels, torch.arange(count) + 5), torch.randn(count, 4, generator=generator)


def test_every_name_that_a_specification_may_hold_can_be_built() -> None:
    assert set(OBJECTIVES) == objective_names()


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"name": "cross_entropy"}, lambda z, y: losses.cross_entropy(z, y)),
        ({"name": "cross_entropy", "smoothing": 0.3}, lambda z, y: losses.cross_entropy(z, targets.smooth(y, 0.3))),
        (
            {"name": "cross_entropy", "smoothing": 0.3, "convention": "others"},
            lambda z, y: losses.cross_entropy(z, targets.smooth(y, 0.4)),
        ),
        (
            {"name": "forward", "noise_rate": 0.3},
            lambda z, y: losses.forward_corrected_cross_entropy(z, y, noise.symmetric(0.3, 4)),
        ),
        (
            {"name": "backward", "noise_rate": 0.3, "inclusive": True},
            lambda z, y: losses.cross_entropy(z, targets.backward(y, noise.symmetric(0.3, 4, inclusive=True))),
        ),
    ],
)
def test_objectives_without_state_are_the_librarys_losses(spec, expected) -> None:
    batch, logits = _batch()
    objective = _objective(**spec)
    found = objective.losses(logits, batch)
    assert torch.equal(found, expected(logits, batch.labels))
    assert torch.equal(objective.risk(found), found.mean())
    assert objective.state_dict() == {}
    assert list(objective.parameters()) == []


def test_early_learning_keeps_a_running_target_for_every_example() -> None:
    objective = _objective(name="early_learning", weight=2.0, momentum=0.5)
    batch, logits = _batch()
    probs = logits.softmax(-1)
    for factor in (0.5, 0.75):  # running targets after one and two looks at the same logits: 1/2 p, 3/4 p
        objective.observe(batch, logits)
        penalty = torch.log(1 - (probs * factor * probs).sum(-1))
        expected = losses.cross_entropy(logits, batch.labels) + 2.0 * penalty
        assert torch.allclose(objective.losses(logits, batch), expected, atol=1e-6)


def test_online_smoothing_uses_the_last_epochs_right_predictions() -> None:
    objective = _objective(name="online_smoothing")
    labels = torch.tensor([0, 0, 1, 2])
    logits = torch.tensor([[3.0, 0, 0, 0], [0, 3.0, 0, 0], [0, 2.0, 1.0, 0], [0, 0, 0, 1.0]])
    batch = Batch(torch.zeros(4, 1), labels, torch.arange(4))
    uniform = losses.cross_entropy(logits, targets.smooth(labels, 0.5))
    objective.observe(batch, logits)
    assert torch.allclose(objective.losses(logits, batch), uniform), "the table changes at an epoch's end only"
    objective.end_epoch(0)
    rows = torch.full((4, 4), 0.25)
    rows[0], rows[1] = logits[0].softmax(-1), logits[2].softmax(-1)  # class 2 had no right prediction, 3 no example
    expected = losses.cross_entropy(logits, targets.dense(0.5 * torch.eye(4)[labels] + 0.5 * rows[labels]))
    assert torch.allclose(objective.losses(logits, batch), expected, atol=1e-6)


@pytest.mark.parametrize("name", ["early_learning", "online_smoothing"])
def test_state_survives_a_checkpoint(name) -> None:
    batch, logits = _batch()
    one, two = _objective(name=name), _objective(name=name)
    one.observe(batch, logits)
    two.load_state_dict({key: value.clone() for key, value in one.state_dict().items()})
    for objective in (one, two):
        objective.observe(batch, 2 * logits)
        objective.end_epoch(0)
    assert torch.equal(one.losses(logits, batch), two.losses(logits, batch))


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
        int(torch.nonzero((batch.inputs * (1 - weight) - row).abs().sum(1) < 1e-5)[0])
        for row in mixed.inputs - weight * batch.inputs
    ]
    assert torch.equal(index[:, 1], batch.labels[partner])
    expected = weight * losses.cross_entropy(logits, targets.smooth(batch.labels, 0.2)) + (
        1 - weight
    ) * losses.cross_entropy(logits, targets.smooth(batch.labels[partner], 0.2))
    assert torch.allclose(objective.losses(logits, mixed), expected, atol=1e-5)


def test_mixup_weights_follow_the_beta_distribution() -> None:
    from softtargets.train.objectives import _beta

    generator = torch.Generator().manual_seed(0)
    draws = torch.tensor([_beta(0.2, generator) for _ in range(4000)])
    # Beta(a, a) has mean 1/2 and variance 1 / (4 (2a + 1)); six standard errors
    assert abs(float(draws.mean()) - 0.5) < 0.04
    assert abs(float(draws.var()) - 1 / (4 * 1.4)) < 0.01
