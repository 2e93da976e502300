"""Pseudo-labels: labelled and unlabelled rows have means of their own, the second with a threshold and a ramp."""

import math

import pytest
import torch
from pydantic import TypeAdapter

from softtargets import losses
from softtargets._errors import InputError
from softtargets.objectives import OBJECTIVES, AnyObjective, Batch, Objective, ObjectiveContext, TrainingData
from softtargets.runs.spec import RunSpec

LABELLED = torch.tensor([True, False, True, False, False])
LABELS = torch.tensor([0, -1, 2, -1, -1])
# of the unlabelled rows, the first and the last are predicted with more than 0.9
LOGITS = torch.tensor([[1.0, 0.0, 0.0], [0.0, 5.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.5, 0.0], [4.0, 0.0, 0.0]])
OTHERS = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 6.0], [0.0, 0.0, 0.0], [5.0, 0.0, 0.0], [0.5, 0.0, 0.0]])
BATCH = Batch(torch.zeros(5, 2), LABELS, torch.arange(5), LABELLED)


def _objective(epochs: int = 1, **spec) -> Objective:
    context = ObjectiveContext(5, 3, epochs=epochs, teacher=lambda ids, inputs: OTHERS[None])
    settings = {"name": "pseudo_labels", "threshold": 0.9, "ramp_to": 0.0, **spec}
    return TypeAdapter(AnyObjective).validate_python(settings).started(context)


def _risk(objective: Objective, logits: torch.Tensor = LOGITS, batch: Batch = BATCH) -> torch.Tensor:
    batch = objective.prepare(batch, torch.Generator())
    return objective.risk(objective.losses(logits, batch))


def _cross(row: int, label: int) -> float:
    return float(-LOGITS[row].log_softmax(0)[label])


OWN = (_cross(0, 0) + _cross(2, 2)) / 2


def test_the_networks_own_predictions_are_the_labels() -> None:
    of_unlabelled = (_cross(1, 1) + _cross(4, 0)) / 3  # the third is not certain enough, but counts
    assert float(_risk(_objective(weight=2.0))) == pytest.approx(OWN + 2 * of_unlabelled)


def test_the_predictions_of_the_average_are_the_labels() -> None:
    of_unlabelled = (_cross(1, 2) + _cross(3, 0)) / 3
    assert float(_risk(_objective(source="average"))) == pytest.approx(OWN + of_unlabelled)
    probs = OTHERS.softmax(-1)
    soft = -(probs * LOGITS.log_softmax(-1)).sum(-1)
    expected = OWN + float(soft[1] + soft[3]) / 3
    assert float(_risk(_objective(source="average", kind="soft"))) == pytest.approx(expected)


def test_soft_pseudo_labels_of_the_network_minimise_the_entropy() -> None:
    logits = LOGITS.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(_risk(_objective(kind="soft", threshold=0.0), logits), logits)
    entropy = -(logits.softmax(-1) * logits.log_softmax(-1)).sum(-1)
    own = losses.cross_entropy(logits, LABELS.clamp(min=0))
    expected = torch.autograd.grad(own[LABELLED].mean() + entropy[~LABELLED].mean(), logits)[0]
    torch.testing.assert_close(gradient, expected)


def test_hard_pseudo_labels_get_no_gradient_below_the_threshold() -> None:
    logits = LOGITS.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(_risk(_objective(), logits), logits)
    assert float(gradient[3].abs().max()) == 0
    assert (gradient[[0, 1, 2, 4]].abs().amax(1) > 0).all()


def test_the_weight_increases_during_the_training() -> None:
    objective = _objective(epochs=4, weight=3.0, ramp_from=0.25, ramp_to=0.75, threshold=0.0)
    of_unlabelled = (_cross(1, 1) + _cross(3, 1) + _cross(4, 0)) / 3
    for epoch, weight in enumerate((0.0, 0.0, 1.5, 3.0)):
        assert float(_risk(objective)) == pytest.approx(OWN + weight * of_unlabelled)
        objective.end_epoch(epoch)
    resumed = _objective(epochs=4, weight=3.0, ramp_from=0.25, ramp_to=0.75, threshold=0.0)
    resumed.load_state_dict(objective.state_dict())
    assert torch.equal(_risk(resumed), _risk(objective))


@pytest.mark.parametrize("labelled", [torch.ones(5).bool(), torch.zeros(5).bool()])
def test_a_batch_may_have_rows_of_one_kind_only(labelled) -> None:
    batch = Batch(BATCH.inputs, torch.tensor([0, 1, 2, 1, 0]), BATCH.ids, labelled)
    expected = [_cross(row, label) for row, label in enumerate(batch.labels.tolist())]
    if not bool(labelled[0]):
        expected = [_cross(row, int(LOGITS[row].argmax())) if row in (1, 4) else 0.0 for row in range(5)]
    assert float(_risk(_objective(), LOGITS, batch)) == pytest.approx(sum(expected) / 5)


def test_only_some_objectives_use_rows_without_labels() -> None:
    users = {name for name, kind in OBJECTIVES.items() if kind.uses_unlabelled}
    assert users == {"pseudo_labels", "mean_teacher", "distillation"}


def test_an_average_is_required_where_it_predicts() -> None:
    content = {"model": {"name": "mlp"}, "training": {"epochs": 1}}
    spec = {**content, "objective": {"name": "pseudo_labels", "source": "average"}}
    with pytest.raises(InputError, match=r"training\.average_decay: given if a running average is the teacher"):
        RunSpec.parse(spec)
    with pytest.raises(InputError, match=r"^teacher: required with source = 'average'; got None"):
        OBJECTIVES["pseudo_labels"].parse(spec["objective"]).started(ObjectiveContext(5, 3))


def test_the_ramp_of_the_weight_may_be_a_sigmoid() -> None:
    objective = _objective(epochs=2, weight=3.0, ramp_to=1.0, threshold=0.0, ramp="sigmoid")
    objective.end_epoch(0)
    of_unlabelled = (_cross(1, 1) + _cross(3, 1) + _cross(4, 0)) / 3
    assert float(_risk(objective)) == pytest.approx(OWN + 3 * math.exp(-1.25) * of_unlabelled)
    linear, default = (OBJECTIVES["pseudo_labels"].parse(spec) for spec in ({"ramp": "linear"}, {}))
    assert linear == default


def test_pseudo_labels_may_be_smoothed() -> None:
    objective = _objective(smoothing=0.3, threshold=0.9)
    smoothed = [
        0.7 * _cross(row, label) + 0.1 * sum(_cross(row, k) for k in range(3)) for row, label in ((1, 1), (4, 0))
    ]
    assert float(_risk(objective)) == pytest.approx(OWN + sum(smoothed) / 3)
    assert OBJECTIVES["pseudo_labels"].parse({"smoothing": 0.0}) == OBJECTIVES["pseudo_labels"].parse({})


def test_strongly_changed_inputs_learn_the_predictions_of_the_others() -> None:
    """FixMatch: the teacher's classes are the targets of the logits of the changed inputs."""
    found = _risk(_objective(strong={"noise": 0.1}))
    of_unlabelled = (_cross(1, 2) + _cross(3, 0)) / 3
    assert float(found) == pytest.approx(OWN + of_unlabelled)


def _data(labels: list[int]) -> TrainingData:
    rows = torch.arange(5)
    return TrainingData(("a", "b", "c"), (2,), torch.tensor(labels), rows, rows, labelled=LABELLED)


def test_balance_changes_the_predictions_and_the_thresholds() -> None:
    context = ObjectiveContext(5, 3, data=_data([0, 0, 2, 0, 0]))
    spec = {"name": "pseudo_labels", "threshold": 0.9, "ramp_to": 0.0}
    aligned = TypeAdapter(AnyObjective).validate_python({**spec, "balance": "alignment"}).started(context)
    batch = aligned.prepare(BATCH, torch.Generator())
    aligned.observe(batch, LOGITS)
    # class 1 has no labelled row, so that no pseudo-label is 1
    found = float(aligned.batch_loss(LOGITS, batch))
    noted = aligned.pseudo_labels()
    assert noted is not None
    assert 1 not in noted.tolist()
    assert found != pytest.approx(float(_risk(_objective())))

    lower = TypeAdapter(AnyObjective).validate_python({**spec, "balance": "thresholds"}).started(context)
    lower.observe(batch, LOGITS)
    # counts of the rows 1 and 4: one each of the classes 1 and 0, and one row is undecided: thresholds .9, .9 and 0
    assert float(lower.batch_loss(LOGITS, batch)) == pytest.approx(float(_risk(_objective())))
    sure_of_two = torch.where(torch.arange(5)[:, None] == 3, torch.tensor([0.0, 0.0, 0.5]), LOGITS)
    assert float(lower.batch_loss(sure_of_two, batch)) > float(_risk(_objective(), sure_of_two))


def test_balance_and_notes_are_restored_from_a_checkpoint() -> None:
    context = ObjectiveContext(5, 3, data=_data([0, 1, 2, 0, 0]), epochs=3)
    for balance in ("alignment", "thresholds"):
        spec = {"name": "pseudo_labels", "threshold": 0.5, "balance": balance}
        first, second = (TypeAdapter(AnyObjective).validate_python(spec).started(context) for _ in range(2))
        for logits in (LOGITS, OTHERS):
            first.observe(BATCH, logits)
            first.batch_loss(logits, BATCH)
        second.load_state_dict(first.state_dict())
        assert torch.equal(first.batch_loss(LOGITS, BATCH), second.batch_loss(LOGITS, BATCH))
