"""What objectives of unlabelled rows share: the note of predictions, strong changes, and what is refused."""

from dataclasses import replace

import pytest
import torch
from objective_specs import DATA

from softtargets._errors import InputError
from softtargets.objectives import OBJECTIVES, Batch, Objective, ObjectiveContext
from softtargets.objectives.unlabelled import UNSEEN, UNUSED

LABELLED = torch.tensor([True, False, False, True])
LOGITS = torch.tensor([[9.0, 0.0, 0.0], [0.0, 9.0, 0.0], [0.0, 0.0, 0.1], [0.0, 0.0, 9.0]])
BATCH = Batch(torch.randn(4, 3, 8, 8), torch.zeros(4, dtype=torch.int64), torch.tensor([7, 2, 4, 0]), LABELLED)


def _started(name: str, **spec) -> Objective:
    context = ObjectiveContext(9, 3, epochs=2, teacher=lambda ids, inputs: LOGITS[None])
    return OBJECTIVES[name].parse(spec).started(context)


def _step(objective: Objective) -> None:
    batch = objective.prepare(BATCH, torch.Generator().manual_seed(0))
    objective.observe(batch, LOGITS)
    objective.batch_loss(LOGITS, batch)


def test_the_predictions_of_an_epoch_are_noted_until_its_end() -> None:
    objective = _started("pseudo_labels")
    _step(objective)
    noted = objective.pseudo_labels()
    assert noted is not None
    assert noted.tolist() == [UNSEEN, UNSEEN, 1, UNSEEN, UNUSED, *[UNSEEN] * 4]
    resumed = _started("pseudo_labels")
    resumed.load_state_dict(objective.state_dict())
    assert resumed.pseudo_labels().tolist() == noted.tolist()  # pyright: ignore[reportOptionalMemberAccess]
    objective.end_epoch(0)
    assert noted.tolist() == [UNSEEN] * 9
    teacher = _started("mean_teacher")
    _step(teacher)
    assert teacher.pseudo_labels()[[2, 4, 7]].tolist() == [1, 2, UNSEEN]  # pyright: ignore[reportOptionalSubscript]
    assert _started("distillation", source="average").pseudo_labels() is None


def test_labelled_rows_of_pseudo_labels_are_not_changed_strongly() -> None:
    objective = _started("pseudo_labels", strong={"noise": 1.0, "shift": 0.2, "cutout": 0.5})
    prepared = objective.prepare(BATCH, torch.Generator().manual_seed(0))
    assert isinstance(prepared.inputs, torch.Tensor)
    assert isinstance(BATCH.inputs, torch.Tensor)
    same = torch.tensor([torch.equal(a, b) for a, b in zip(prepared.inputs, BATCH.inputs, strict=True)])
    assert torch.equal(same, LABELLED)
    assert prepared.teacher_logits is not None
    assert objective.taught_by == "model"
    assert _started("pseudo_labels").taught_by is None


def test_strong_changes_must_fit_the_inputs() -> None:
    content = {"strong": {"noise": 0.1, "rotation": 10.0}}
    context = ObjectiveContext(20, 4, teacher=lambda ids, inputs: LOGITS[None], data=DATA)
    OBJECTIVES["mean_teacher"].parse(content).started(context)
    table = replace(context, data=replace(DATA, input_shape=(5,)))
    with pytest.raises(InputError, match=r"^objective\.strong\.rotation: left out for data without images; got 10"):
        OBJECTIVES["pseudo_labels"].parse(content).started(table)
    OBJECTIVES["pseudo_labels"].parse({"strong": {"noise": 0.1}}).started(table)
    with pytest.raises(InputError, match=r"^teacher: required with strong; got None"):
        OBJECTIVES["pseudo_labels"].parse(content).started(replace(context, teacher=None))
