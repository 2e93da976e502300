"""The cross entropy between student and teacher, with and without augmentation, and for which runs it is defined."""

import pytest
from measures.small_runs import student

from softtargets._spec import merged
from softtargets.measures import measure_run, trace_run
from softtargets.measures.cross_entropy import cross_entropy_by_epoch
from softtargets.measures.subject import Subject
from softtargets.runs.record import read_history
from softtargets.runs.store import RunStore


def _still(store: RunStore, **changes) -> Subject:
    """Return a student whose weights do not move, so that its training loss is that of its recorded logits."""
    # ten whole batches of the 300 examples, whose mean loss is the mean over the examples
    still = {
        "augmentation": {"shift": 0},
        "optimizer": {"learning_rate": 1e-12},
        "training": {"batch_size": 30},
    }
    return Subject(student(store, **merged(still, changes)), store, None)


def test_the_cross_entropy_is_that_of_the_predictions_of_student_and_teacher(store) -> None:
    subject = _still(store)
    (teacher,) = subject.teachers
    given = teacher.predictions["train.logits"].double().softmax(1)
    expected = float(-(given * subject.predictions["train.logits"].double().log_softmax(1)).sum(1).mean())
    assert expected > 2  # the student has learned nothing: about log 10
    by_epoch = cross_entropy_by_epoch(subject)
    assert [epoch for epoch, _ in by_epoch] == [1, 2, 3]
    assert [value for _, value in by_epoch] == pytest.approx([expected] * 3, rel=1e-5)
    measured = measure_run(subject.resolved, store, ["train.cross_entropy"]).values
    assert measured["train.cross_entropy"] == by_epoch[-1][1]
    assert trace_run(subject.resolved, store, "train.cross_entropy") == dict(by_epoch)
    # the divergence, which is what was minimised, is smaller by the entropy of the teacher
    entropy = float(-(given * given.log()).sum(1).mean())
    assert measured["train.objective"] == pytest.approx(expected - entropy, rel=1e-5)


def test_with_augmentation_the_teacher_is_asked_about_augmented_examples(store) -> None:
    still, moved = _still(store), _still(store, augmentation={"shift": 3})
    entropies = [
        value - row["objective"]
        for subject in (still, moved)
        for (_, value), row in zip(cross_entropy_by_epoch(subject), read_history(subject.folder), strict=True)
    ]
    assert entropies == pytest.approx([entropies[0]] * 3 + [entropies[3]] * 3)
    assert entropies[3] > entropies[0] + 0.05  # digits that are shifted by three pixels are unusual


@pytest.mark.parametrize(
    "objective", [{"temperature": 2.0}, {"weight": 0.5}, {"loss": "mse"}, {"standardized": True}, {"smoothing": 0.1}]
)
def test_other_objectives_have_no_cross_entropy_with_the_teacher(store, objective) -> None:
    # a small learning rate: the squared error of logits diverges at the usual one
    other = student(store, objective={"name": "distillation", **objective}, optimizer={"learning_rate": 0.01})
    found = measure_run(other, store, ["train.cross_entropy"])
    assert "train.cross_entropy" not in found.values
    assert found.problems == ()
    with pytest.raises(ValueError, match=r"train\.cross_entropy: an objective that is only the KL divergence"):
        trace_run(other, store, "train.cross_entropy")
