"""Objectives by name, against the formulas written out."""

import math

import pytest
import torch
from pydantic import TypeAdapter

from softtargets import losses, targets
from softtargets.objectives import AnyObjective, Batch, Objective, ObjectiveContext

CONTEXT = ObjectiveContext(num_examples=20, num_classes=4)


def _objective(**spec) -> Objective:
    return TypeAdapter(AnyObjective).validate_python(spec).started(CONTEXT)


def _batch(count: int = 6) -> tuple[Batch, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(count, 3, generator=generator)
    labels = torch.randint(0, 4, (count,), generator=generator)
    return Batch(inputs, labels, torch.arange(count) + 5), 3 * torch.randn(count, 4, generator=generator)


def _cross(p: list[float], y: int) -> float:
    return -math.log(p[y])


def _smoothed(p: list[float], y: int, r: float) -> float:
    return (1 - r) * _cross(p, y) + r * sum(_cross(p, k) for k in range(4)) / 4


def _entropy(p: list[float]) -> float:
    return sum(q * -math.log(q) for q in p)


def _relaxed(p: float, a: float) -> float:
    return 0.0 if p >= 1 - a else (1 - a) * math.log((1 - a) / p) + a * math.log(a / (1 - p))


def _lead(p: list[float], y: int) -> float:
    return math.log(p[y]) - max(math.log(q) for k, q in enumerate(p) if k != y)


def _acls(p: list[float], margin: float, on_largest: float, on_others: float) -> float:
    below = [max(math.log(max(p) / q) - margin, 0) for q in p]
    return on_largest * max(below) ** 2 + on_others * sum(d**2 for d in below) / 3


def _zipf(p: list[float], y: int) -> float:
    others = sorted((q for k, q in enumerate(p) if k != y), reverse=True)
    law = [1 / rank / (1 + 1 / 2 + 1 / 3) for rank in (1, 2, 3)]
    return sum(w * math.log(w / (q / sum(others))) for w, q in zip(law, others, strict=True))


# a specification, and its loss as a function of the probabilities and the label of one example
BY_HAND = [
    ({"name": "cross_entropy"}, _cross),
    ({"name": "cross_entropy", "smoothing": 0.3}, lambda p, y: _smoothed(p, y, 0.3)),
    ({"name": "cross_entropy", "smoothing": 0.3, "convention": "others"}, lambda p, y: _smoothed(p, y, 0.4)),
    ({"name": "generalized_cross_entropy", "q": 0.5}, lambda p, y: (1 - p[y] ** 0.5) / 0.5),
    (
        {"name": "symmetric_cross_entropy", "cross_entropy_weight": 0.5, "reverse_weight": 2.0},
        lambda p, y: 0.5 * _cross(p, y) + 2.0 * -math.log(1e-4) * (1 - p[y]),
    ),
    (
        {"name": "active_passive", "active_weight": 3.0, "passive_weight": 0.5},
        lambda p, y: 3.0 * math.log(p[y]) / sum(math.log(q) for q in p) + 0.5 * -math.log(1e-4) * (1 - p[y]),
    ),
    ({"name": "mean_absolute_error"}, lambda p, y: 1 - p[y]),
    ({"name": "focal", "gamma": 2.0}, lambda p, y: (1 - p[y]) ** 2 * _cross(p, y)),
    ({"name": "confidence_penalty", "weight": 0.3}, lambda p, y: _cross(p, y) - 0.3 * _entropy(p)),
    (
        {"name": "mbls_penalty", "weight": 0.5, "margin": 1.5},
        lambda p, y: _cross(p, y) + 0.5 * sum(max(math.log(max(p) / q) - 1.5, 0) for q in p) / 4,
    ),
    ({"name": "bootstrapping"}, lambda p, y: 0.95 * _cross(p, y) + 0.05 * _entropy(p)),
    (
        {"name": "bootstrapping", "kind": "hard"},
        lambda p, y: 0.8 * _cross(p, y) + 0.2 * _cross(p, p.index(max(p))),
    ),
    ({"name": "bootstrapping", "weight": 0.6}, lambda p, y: 0.6 * _cross(p, y) + 0.4 * _entropy(p)),
    ({"name": "reverse_cross_entropy"}, lambda p, y: -math.log(1e-4) * (1 - p[y])),
    ({"name": "normalized_cross_entropy"}, lambda p, y: math.log(p[y]) / sum(math.log(q) for q in p)),
    (
        {"name": "dual_focal", "gamma": 2.0},
        lambda p, y: (1 - p[y] + max((q for q in p if q < p[y]), default=0.0)) ** 2 * _cross(p, y),
    ),
    (
        {"name": "sample_dependent_focal"},
        lambda p, y: (1 - p[y]) ** (5 if p[y] < 0.2 else 3) * _cross(p, y),
    ),
    ({"name": "label_relaxation", "smoothing": 0.2}, lambda p, y: _relaxed(p[y], 0.2)),
    (
        {"name": "acls_penalty", "weight": 0.5, "margin": 1.0, "largest_weight": 0.3, "others_weight": 2.0},
        lambda p, y: _cross(p, y) + 0.5 * _acls(p, 1.0, 0.3, 2.0),
    ),
    (
        {"name": "smoothing_regularizer", "weight": 0.05},
        lambda p, y: _cross(p, y) + 0.05 * sum(_cross(p, k) for k in range(4)),
    ),
    ({"name": "zipf_penalty", "weight": 0.5}, lambda p, y: _cross(p, y) + 0.5 * _zipf(p, y)),
    (
        {"name": "confidence_smoothing", "maximum": 0.4},
        lambda p, y: _smoothed(p, y, 0.4 * max(0.0, (p[y] - 0.25) / 0.75)),
    ),
    (
        {"name": "confidence_smoothing", "maximum": 0.4, "of": "prediction"},
        lambda p, y: _smoothed(p, y, 0.4 * (max(p) - 0.25) / 0.75),
    ),
    (
        {"name": "margin_smoothing", "maximum": 0.4, "margin": 5.0},
        lambda p, y: _smoothed(p, y, 0.4 * min(max(_lead(p, y) / 5, 0), 1)),
    ),
    (
        {"name": "margin_smoothing", "maximum": 0.4, "margin": 5.0, "of": "prediction"},
        lambda p, y: _smoothed(p, y, 0.4 * min(_lead(p, p.index(max(p))) / 5, 1)),
    ),
]


@pytest.mark.parametrize("convention", ["all", "others", "classy"])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_cross_entropy_in_one_pass_has_the_gradient_of_the_mean_of_its_losses(smoothing, convention) -> None:
    objective = _objective(name="cross_entropy", smoothing=smoothing, convention=convention)
    batch, logits = _batch()
    logits.requires_grad_()
    (of_mean,) = torch.autograd.grad(objective.risk(objective.losses(logits, batch)), logits)
    (in_one_pass,) = torch.autograd.grad(objective.batch_loss(logits, batch), logits)
    torch.testing.assert_close(in_one_pass, of_mean)


@pytest.mark.parametrize(("spec", "expected"), BY_HAND, ids=lambda value: value["name"] if type(value) is dict else "")
def test_objectives_without_state_are_functions_of_one_example(spec, expected) -> None:
    batch, logits = _batch()
    objective = _objective(**spec)
    found = objective.losses(logits, batch)
    probs = logits.double().softmax(-1).tolist()
    by_hand = [expected(p, y) for p, y in zip(probs, batch.labels.tolist(), strict=True)]
    torch.testing.assert_close(found.double(), torch.tensor(by_hand, dtype=torch.float64), rtol=1e-5, atol=1e-6)
    assert torch.equal(objective.risk(found), found.mean())
    torch.testing.assert_close(objective.batch_loss(logits, batch), found.mean())
    assert objective.state_dict() == {}
    assert objective.current_transition() is None
    assert list(objective.parameters()) == []


def test_early_learning_keeps_a_running_target_for_every_example() -> None:
    objective = _objective(name="early_learning", weight=2.0, momentum=0.5)
    batch, logits = _batch()
    probs = logits.softmax(-1)
    clamped = probs.clamp(1e-4, 1 - 1e-4)
    running = clamped / clamped.sum(-1, keepdim=True)
    for factor in (0.5, 0.75):  # running targets after one and two looks at the same logits: 1/2 p, 3/4 p
        objective.observe(batch, logits)
        penalty = torch.log(1 - (clamped * factor * running).sum(-1))
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


def test_the_logit_penalty_depends_on_a_common_shift() -> None:
    objective = _objective(name="logit_penalty", weight=0.5)
    batch, logits = _batch()
    expected = losses.cross_entropy(logits, batch.labels) + 0.5 * (logits + 1).square().sum(-1)
    torch.testing.assert_close(objective.losses(logits + 1, batch), expected)


def test_learned_smoothing_learns_its_table_from_the_second_term_alone() -> None:
    objective = _objective(name="learned_smoothing", smoothing=0.2)
    batch, logits = _batch()
    logits.requires_grad_()
    found = objective.risk(objective.losses(logits, batch))
    table = next(parameter for _, parameter in objective.parameters())
    of_logits, of_table = torch.autograd.grad(found, [logits, table])
    # the first table is uniform over the other classes, and the network gets half the gradient
    smoothed = targets.smooth(batch.labels, 0.2, num_classes=4, convention="others").to_dense(4)
    torch.testing.assert_close(of_logits, (logits.softmax(-1) - smoothed).float() / 2 / len(logits))
    # d/dC of -sum_k p_k log t_k / 2 at C = 0: the shares minus the probabilities of the other classes, for each label
    expected = torch.zeros(4, 4)
    for p, y in zip(logits.softmax(-1).detach(), batch.labels.tolist(), strict=True):
        others = torch.arange(4) != y
        expected[y, others] += (p[others].sum() / 3 - p[others]) / 2 / len(logits)
    torch.testing.assert_close(of_table, expected, rtol=1e-5, atol=1e-7)


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
