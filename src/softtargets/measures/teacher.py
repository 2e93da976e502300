"""Smoothness of a run's targets, accuracy of its teacher, and agreement with it."""

from softtargets.measures.accuracy import accuracy_on
from softtargets.measures.registry import measure
from softtargets.runs.record import Record


@measure("smoothing", label="smoothing γ of the targets", unit="fraction")
def smoothing(record: Record) -> float | None:
    """K/(K-1) times the mean mass of the targets on classes other than the observed label, over the training split;
    equals α of label smoothing. For students, defined if the loss uses only the predictions of one teacher.
    """
    # Müller et al. 2019's gamma
    if record.run is None:
        return None
    teachers = [teacher.predictions for teacher in record.teachers]
    return record.run.objective.equivalent_smoothing(record.predictions, teachers)


@measure("teacher.test.accuracy", label="test accuracy of the teacher", unit="percent")
def accuracy_of_teacher(record: Record) -> float | None:
    """Accuracy of the run's teacher on the test split."""
    return accuracy_on(record.teachers[0], "test") if len(record.teachers) == 1 else None


@measure("agreement", label="agreement with the teacher", unit="percent")
def agreement(record: Record) -> float | None:
    """Share of the test split on which student and teacher predict the same class."""
    if len(record.teachers) != 1 or len(record.predictions["test.labels"]) == 0:
        return None
    own, theirs = record.predictions["test.logits"], record.teachers[0].predictions["test.logits"]
    return float((own.argmax(-1) == theirs.argmax(-1)).double().mean())
