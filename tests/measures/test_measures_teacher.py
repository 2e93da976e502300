"""What a run was taught by its targets or its teacher, and what became of that."""

import pytest
import torch
from measures.simulated import of_record

from softtargets.runs.record import Record
from softtargets.runs.spec import RunSpec

BASE = {"model": {"name": "mlp"}, "training": {"epochs": 2}}
# two rows of three classes, of both the label is 0: the teacher leaves .25 and .5 to the others
PROBS = torch.tensor([[0.75, 0.125, 0.125], [0.5, 0.3, 0.2]])
LABELS = torch.tensor([0, 0])


def _predictions(logits: torch.Tensor) -> dict[str, torch.Tensor]:
    return {
        f"{split}.{name}": value
        for split in ("train", "test")
        for name, value in {"logits": logits, "labels": LABELS, "observed": LABELS}.items()
    }


def _student(members: int = 1, **objective) -> Record:
    run = RunSpec.parse(
        {
            **BASE,
            "objective": {"name": "distillation", **objective},
            "teachers": [{**BASE, "seeds": n} for n in range(members)],
        }
    )
    teacher = Record(_predictions(PROBS.log()))
    return Record(
        _predictions(torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])), run=run, teachers=(teacher,) * members
    )


def _smoothing(record: Record) -> float | None:
    return of_record("smoothing", record)


def test_the_smoothing_of_targets_is_muellers_gamma() -> None:
    assert _smoothing(_student()) == pytest.approx(1.5 * (0.25 + 0.5) / 2)
    softened = (PROBS.log() / 2).softmax(-1)[:, 0]
    assert _smoothing(_student(temperature=2.0)) == pytest.approx(float(1.5 * (1 - softened).mean()), rel=1e-6)
    for smoothing in (0.0, 0.3):
        run = RunSpec.parse({**BASE, "objective": {"name": "cross_entropy", "smoothing": smoothing}})
        assert _smoothing(Record({}, run=run)) == smoothing


def test_under_noise_targets_are_held_against_the_labels_that_were_given() -> None:
    """As of label smoothing, whose α is what it leaves to others than the observed label, wrong or not."""
    record = _student()
    record.predictions["train.observed"] = torch.tensor([1, 0])
    assert _smoothing(record) == pytest.approx(1.5 * ((1 - 0.125) + 0.5) / 2)


def test_standardized_targets_are_counted_as_such() -> None:
    logits = PROBS.log().double()
    scored = (logits - logits.mean(1, keepdim=True)) / logits.std(1, keepdim=True)
    expected = 1.5 * (1 - (scored / 2).softmax(-1)[:, 0]).mean()
    assert _smoothing(_student(standardized=True, temperature=2.0)) == pytest.approx(float(expected), rel=1e-5)


def test_a_cache_of_all_classes_changes_nothing() -> None:
    for cache in ({"kind": "top_k"}, {"kind": "top_k", "k": 3}):
        assert _smoothing(_student(cache=cache)) == _smoothing(_student())


def test_targets_that_are_smoothed_again_are_counted_as_such() -> None:
    """(1 - s) p + s / K leaves (1 - s) gamma + s."""
    plain = _smoothing(_student())
    assert plain is not None
    assert _smoothing(_student(smoothing=0.2)) == pytest.approx(0.8 * plain + 0.2)


@pytest.mark.parametrize(
    "objective",
    [
        {"weight": 0.5},
        {"loss": "mse"},
        {"loss": "dkd"},
        {"members": 2},
        # what of the teacher's probabilities is left stands in its cache alone
        {"cache": {"kind": "top_k", "k": 2}},
        {"cache": {"kind": "sampled", "draws": 3}},
    ],
)
def test_targets_that_are_no_one_teachers_have_no_such_number(objective) -> None:
    assert _smoothing(_student(**objective)) is None


def test_what_became_of_what_was_taught() -> None:
    record = _student()
    assert of_record("agreement", record) == 0.5
    assert of_record("teacher.test.accuracy", record) == 1.0
    assert of_record("agreement", Record(record.predictions, run=record.run)) is None
