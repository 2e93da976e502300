"""Objectives that follow the training: each switch at its epoch, and after a resume at the same one."""

import math

import pytest
import torch
from pydantic import TypeAdapter

from softtargets import losses, targets
from softtargets.objectives import AnyObjective, Batch, Objective, ObjectiveContext

LABELS = torch.tensor([0, 1, 2, 0])
LOGITS = torch.tensor([[2.0, 0.0, 1.0], [1.0, 3.0, 0.0], [4.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
BATCH = Batch(torch.zeros(4, 1), LABELS, torch.arange(4))
CROSS = losses.cross_entropy(LOGITS, LABELS)
OF_ALL = -LOGITS.log_softmax(-1)


def _objective(epochs: int, **spec) -> Objective:
    context = ObjectiveContext(num_examples=4, num_classes=3, epochs=epochs)
    return TypeAdapter(AnyObjective).validate_python(spec).started(context)


def _step(objective: Objective) -> tuple[torch.Tensor, torch.Tensor]:
    objective.prepare(BATCH, torch.Generator().manual_seed(0))
    objective.observe(BATCH, LOGITS)
    found = objective.losses(LOGITS, BATCH)
    return found, objective.risk(found)


def _epochs(objective: Objective, first: int, last: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    steps = []
    for epoch in range(first, last):
        steps.append(_step(objective))
        objective.end_epoch(epoch)
    return steps


def test_negative_smoothing_begins_when_its_warmup_is_over() -> None:
    steps = _epochs(_objective(10, name="negative_smoothing", smoothing=-0.5, warmup=0.3), 0, 10)
    after = 1.5 * CROSS - 0.5 * OF_ALL.mean(-1)
    for epoch, (found, risk) in enumerate(steps):
        torch.testing.assert_close(found, CROSS if epoch < 3 else after)
        assert torch.equal(risk, found.mean())


@pytest.mark.parametrize("name", ["negative_smoothing", "cores"])
def test_without_a_floor_it_is_the_librarys_loss(name) -> None:
    begun = {"negative_smoothing": {"smoothing": -0.5, "warmup": 0.0}, "cores": {"ramp_from": 0.0, "ramp_to": 0.0}}
    objective = _objective(1, name=name, floor=0.0, **begun[name])
    if name == "cores":
        expected = losses.cores_loss(LOGITS, LABELS, weight=2.0)
    else:
        with pytest.warns(UserWarning, match="negative"):
            expected = losses.cross_entropy(LOGITS, targets.smooth(LABELS, -0.5, allow_negative=True))
    torch.testing.assert_close(objective.losses(LOGITS, BATCH), expected)


@pytest.mark.parametrize(("name", "weight"), [("negative_smoothing", 0.5), ("cores", 2.0)])
def test_a_floor_bounds_what_is_taken_away(name, weight) -> None:
    begun = {"negative_smoothing": {"smoothing": -0.5, "warmup": 0.0}, "cores": {"ramp_from": 0.0, "ramp_to": 0.0}}
    objective = _objective(1, name=name, floor=1e-6, **begun[name])
    logits = torch.tensor([[100.0, 0.0, 0.0]], requires_grad=True)
    certain = Batch(torch.zeros(1, 1), torch.tensor([0]), torch.tensor([0]))
    loss = objective.losses(logits, certain)
    # cross entropy is 0; two classes of three are at the floor
    torch.testing.assert_close(loss, torch.tensor([2 / 3 * weight * math.log(1e-6)]), rtol=1e-5, atol=0)
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    assert float(gradient.abs().max()) < 1e-5


def test_max_suppression_goes_linearly_over_the_training() -> None:
    steps = _epochs(_objective(4, name="max_suppression", smoothing=0.1, final_smoothing=0.3), 0, 4)
    extra = LOGITS.amax(-1) - LOGITS.mean(-1)
    for (found, _), smoothing in zip(steps, (0.1, 0.15, 0.2, 0.25), strict=True):
        torch.testing.assert_close(found, CROSS + smoothing * extra)


def test_scheduled_smoothing_changes_between_two_shares_of_the_training() -> None:
    spec = {"name": "scheduled_smoothing", "smoothing": 0.1, "final_smoothing": 0.3, "ramp_from": 0.2, "ramp_to": 0.6}
    steps = _epochs(_objective(10, **spec), 0, 10)
    for epoch, (found, _) in enumerate(steps):
        smoothing = 0.1 + 0.2 * min(max((epoch - 2) / 4, 0), 1)
        torch.testing.assert_close(found, (1 - smoothing) * CROSS + smoothing * OF_ALL.mean(-1))


def test_cores_grows_its_weight_and_then_sieves() -> None:
    spec = {"name": "cores", "weight": 2.0, "ramp_from": 0.2, "ramp_to": 0.6, "sieve_from": 0.5}
    steps = _epochs(_objective(10, **spec), 0, 10)
    kept = torch.tensor([0, 1])  # a label's logit is at least the mean: 2 >= 1, 3 >= 4/3, 1 < 5/3, 0 < 2/3
    for epoch, (found, risk) in enumerate(steps):
        weight = min(max((epoch - 2) / 4, 0), 1) * 2.0
        expected = CROSS - weight * OF_ALL.mean(-1)
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(risk, expected.mean() if epoch < 5 else expected[kept].mean())


def test_cores_without_a_sieve_keeps_all() -> None:
    for found, risk in _epochs(_objective(3, name="cores", sieve_from=1.0), 0, 3):
        assert torch.equal(risk, found.mean())


def test_the_sieve_goes_by_raised_probabilities_too() -> None:
    objective = _objective(1, name="cores", sieve_from=0.0)
    # the second label's logit is above the mean, -50, but its probability as good as nothing, like the third class's
    logits = torch.tensor([[2.0, 0.0, 1.0], [50.0, 0.0, -200.0]])
    batch = Batch(torch.zeros(2, 1), torch.tensor([0, 1]), torch.arange(2))
    objective.observe(batch, logits)
    found = objective.losses(logits, batch)
    assert torch.equal(objective.risk(found), found[0])


def test_a_sieve_that_keeps_nothing_costs_nothing() -> None:
    objective = _objective(1, name="cores", sieve_from=0.0)
    wrong = Batch(BATCH.inputs, torch.tensor([1, 2, 1, 0]), BATCH.ids)
    objective.observe(wrong, LOGITS)
    assert float(objective.risk(objective.losses(LOGITS, wrong))) == 0


@pytest.mark.parametrize("name", ["negative_smoothing", "max_suppression", "cores", "peer", "scheduled_smoothing"])
@pytest.mark.parametrize("killed", range(1, 6))
def test_a_resumed_schedule_goes_on_where_it_was(name, killed) -> None:
    spec = {"name": name, **({"ramp_to": 1.0} if name in {"cores", "peer"} else {})}
    whole = _epochs(_objective(6, **spec), 0, 6)
    assert not torch.equal(whole[0][0], whole[5][0])
    one, two = _objective(6, **spec), _objective(6, **spec)
    _epochs(one, 0, killed)
    two.load_state_dict(one.state_dict())
    for found, expected in zip(_epochs(two, killed, 6), whole[killed:], strict=True):
        assert torch.equal(found[0], expected[0])
        assert torch.equal(found[1], expected[1])
