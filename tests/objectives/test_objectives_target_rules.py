"""Prior smoothing, DisturbLabel and class weights: what is counted, drawn and divided by."""

from dataclasses import replace

import pytest
import torch
from pydantic import TypeAdapter

from softtargets import losses, targets
from softtargets._errors import InputError
from softtargets.objectives import AnyObjective, Batch, Objective, ObjectiveContext, TrainingData

# the training split has 4, 2 and 1 examples of the classes; the last row is not in it
DATA = TrainingData(
    class_names=("a", "b", "c"),
    input_shape=(2,),
    labels=torch.tensor([0, 0, 0, 0, 1, 1, 2, 2]),
    train=torch.arange(7),
    source=torch.arange(8),
)
LABELS = torch.tensor([0, 1, 2, 0])
LOGITS = torch.tensor([[2.0, 0.0, 1.0], [1.0, 3.0, 0.0], [4.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
BATCH = Batch(torch.zeros(4, 2), LABELS, torch.arange(4))
FREQUENCIES = torch.tensor([4 / 7, 2 / 7, 1 / 7])


def _objective(**spec) -> Objective:
    context = ObjectiveContext(8, 3, data=DATA)
    return TypeAdapter(AnyObjective).validate_python(spec).started(context)


def _losses(objective: Objective, seed: int = 0) -> torch.Tensor:
    return objective.losses(LOGITS, objective.prepare(BATCH, torch.Generator().manual_seed(seed)))


@pytest.mark.parametrize(
    ("prior", "expected"),
    [
        (None, FREQUENCIES),
        ([0.2, 0.3, 0.5], torch.tensor([0.2, 0.3, 0.5])),
        ([1, 1, 2], torch.tensor([0.25, 0.25, 0.5])),
    ],
)
def test_labels_are_smoothed_towards_the_prior(prior, expected) -> None:
    found = _losses(_objective(name="prior_smoothing", smoothing=0.3, prior=prior))
    target = 0.7 * torch.eye(3)[LABELS] + 0.3 * expected
    torch.testing.assert_close(found, -(target * LOGITS.log_softmax(-1)).sum(-1))


@pytest.mark.parametrize(("name", "field"), [("prior_smoothing", "prior"), ("class_weights", "weights")])
def test_another_number_of_classes_is_refused(name, field) -> None:
    with pytest.raises(
        InputError, match=rf"^objective\.{field}: 3 numbers, one for each class; got 2; give one number"
    ):
        _objective(name=name, **{field: [0.5, 0.5]})


def test_labels_are_redrawn_at_every_step_from_the_methods_stream() -> None:
    objective, generator = _objective(name="disturb_label", rate=0.6), torch.Generator().manual_seed(0)
    batch = Batch(torch.zeros(30_000, 1), torch.arange(30_000) % 3, torch.arange(30_000) % 8)
    first, second = (objective.prepare(batch, generator).targets for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.labels is not None
    assert not torch.equal(first.to_dense(3), second.to_dense(3))
    # in expectation label smoothing by the rate: a label is kept with probability 0.4 + 0.6 / 3
    kept = float((first.labels == batch.labels).double().mean())
    assert abs(kept - 0.6) < 6 * (0.24 / 30_000) ** 0.5
    again = objective.prepare(batch, torch.Generator().manual_seed(0)).targets
    assert again is not None
    assert torch.equal(again.to_dense(3), first.to_dense(3))


def test_balanced_weights_give_every_class_the_same_total() -> None:
    objective = _objective(name="class_weights", smoothing=0.3)
    found = _losses(objective)
    smoothed = losses.cross_entropy(LOGITS, targets.smooth(LABELS, 0.3))
    torch.testing.assert_close(found, smoothed)
    weight = (7 / (3 * torch.tensor([4.0, 2.0, 1.0])))[LABELS]
    torch.testing.assert_close(objective.risk(found), (weight * smoothed).sum() / weight.sum())


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_torchs_weighting_is_torchs(smoothing) -> None:
    weights = [0.5, 3.0, 2.0]
    objective = _objective(name="class_weights", weights=weights, smoothing=smoothing, weighting="torch")
    theirs = torch.nn.CrossEntropyLoss(torch.tensor(weights), label_smoothing=smoothing)(LOGITS, LABELS)
    torch.testing.assert_close(objective.batch_loss(LOGITS, BATCH).float(), theirs)
    ours = _objective(name="class_weights", weights=weights, smoothing=smoothing)
    assert torch.allclose(ours.batch_loss(LOGITS, BATCH).float(), theirs) == (smoothing == 0)


def test_a_class_without_examples_has_no_weight_and_no_frequency() -> None:
    rows = torch.arange(3)
    data = TrainingData(("a", "b", "c"), (2,), torch.tensor([0, 1, 1]), rows, rows)
    assert data.class_counts.tolist() == [1, 2, 0]
    some = replace(data, labelled=torch.tensor([True, True, False]))
    assert some.class_counts.tolist() == [1, 1, 0], "a row without a label is not counted"
    context = ObjectiveContext(3, 3, data=data)
    for name in ("class_weights", "prior_smoothing"):
        objective = TypeAdapter(AnyObjective).validate_python({"name": name}).started(context)
        assert torch.isfinite(_losses(objective)).all()
