"""Smoothness of a run's targets, accuracy of its teacher, and agreement with it."""

from torch import Tensor

from softtargets.distill import ensemble
from softtargets.measures.registry import measure
from softtargets.metrics import accuracy
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
    """Accuracy of the run's teacher on the test split; of several teachers, that of their mean probabilities."""
    taught = _teacher_logits(record)
    return None if taught is None else float(accuracy(logits=taught, labels=record.predictions["test.labels"]))


@measure("agreement", label="agreement with the teacher", unit="percent")
def agreement(record: Record) -> float | None:
    """Share of the test split on which student and teacher predict the same class; several teachers predict by their
    mean probabilities.
    """
    taught = _teacher_logits(record)
    if taught is None:
        return None
    return float((record.predictions["test.logits"].argmax(-1) == taught.argmax(-1)).double().mean())


def _teacher_logits(record: Record) -> Tensor | None:
    """Return the teachers' logits of the test split; None without teachers or test rows."""
    if not record.teachers or len(record.predictions["test.labels"]) == 0:
        return None
    return ensemble([teacher.predictions["test.logits"].double() for teacher in record.teachers])
