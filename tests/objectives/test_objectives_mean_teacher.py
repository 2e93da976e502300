"""Mean teacher: the loss against a loop, the ramp-up, and what teacher and student see."""

import math

import pytest
import torch

from softtargets._errors import InputError
from softtargets.objectives import OBJECTIVES, Batch, Objective, ObjectiveContext
from softtargets.runs.spec import RunSpec

LABELLED = torch.tensor([True, False, True, False])
LABELS = torch.tensor([0, -1, 2, -1])
LOGITS = torch.tensor([[1.0, 0.0, 0.0], [0.0, 5.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.5, 0.0]])
TEACHER = torch.tensor([[0.0, 0.0, 2.0], [0.0, 0.0, 6.0], [0.0, 0.0, 0.0], [5.0, 0.0, 0.0]])
BATCH = Batch(torch.arange(8.0).view(4, 2), LABELS, torch.arange(4), LABELLED)


def _started(epochs: int = 1, seen: list[torch.Tensor] | None = None, **spec) -> Objective:
    def teacher(ids, inputs):
        if seen is not None:
            seen.append(inputs)
        return TEACHER[None, : len(ids)]

    parsed = OBJECTIVES["mean_teacher"].parse({"ramp_to": 0.0, **spec})
    return parsed.started(ObjectiveContext(4, 3, epochs=epochs, teacher=teacher))


def _risk(objective: Objective, batch: Batch = BATCH) -> float:
    batch = objective.prepare(batch, torch.Generator().manual_seed(0))
    return float(objective.batch_loss(LOGITS[: len(batch.ids)], batch))


def _expected(weight: float) -> float:
    p, q = LOGITS.double().softmax(-1).tolist(), TEACHER.double().softmax(-1).tolist()
    own = sum(-math.log(p[row][int(LABELS[row])]) for row in (0, 2)) / 2
    distances = [sum((a - b) ** 2 for a, b in zip(p[row], q[row], strict=True)) / 3 for row in range(4)]
    return own + weight * sum(distances) / 4


def test_it_is_the_mean_of_labelled_rows_and_of_the_consistency_of_all_rows() -> None:
    assert _risk(_started(weight=7.0)) == pytest.approx(_expected(7.0), rel=1e-5)


def test_the_weight_increases_with_the_sigmoid_of_laine_and_aila_unless_it_is_linear() -> None:
    for ramp, shape in (("sigmoid", lambda t: math.exp(-5 * (1 - t) ** 2)), ("linear", lambda t: t)):
        objective = _started(epochs=4, weight=9.0, ramp_from=0.0, ramp_to=0.5, ramp=ramp)
        for epoch, share in enumerate((0.0, 0.5, 1.0, 1.0)):
            weight = 9.0 * shape(share) if share else 0.0
            assert _risk(objective) == pytest.approx(_expected(weight), rel=1e-5)
            objective.end_epoch(epoch)


def test_the_teacher_sees_the_inputs_and_the_network_strongly_changed_ones() -> None:
    seen: list[torch.Tensor] = []
    objective = _started(seen=seen, strong={"noise": 0.5})
    prepared = objective.prepare(BATCH, torch.Generator().manual_seed(0))
    (inputs,) = seen
    assert inputs.tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert isinstance(prepared.inputs, torch.Tensor)
    assert isinstance(BATCH.inputs, torch.Tensor)
    assert bool((prepared.inputs != BATCH.inputs).all()), "labelled rows too"
    plain = _started().prepare(BATCH, torch.Generator())
    assert plain.inputs is BATCH.inputs


def test_batches_of_one_kind_of_rows_are_finite() -> None:
    none = Batch(BATCH.inputs, LABELS, BATCH.ids, torch.zeros(4, dtype=torch.bool))
    assert _risk(_started(weight=1.0), none) == pytest.approx(_expected(1.0) - _expected(0.0), rel=1e-4)


def test_the_average_is_required() -> None:
    content = {"model": {"name": "mlp"}, "training": {"epochs": 1}, "objective": {"name": "mean_teacher"}}
    with pytest.raises(InputError, match=r"training\.average_decay: given if a running average is the teacher"):
        RunSpec.parse(content)
    with pytest.raises(InputError, match=r"^teacher: required with source = 'average'; got None"):
        OBJECTIVES["mean_teacher"].parse({}).started(ObjectiveContext(5, 3))
