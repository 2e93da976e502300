"""Measures of how a run was trained: how fast it learnt, what it was taught, and what became of that."""

from collections.abc import Callable

from softtargets.measures.measure import Measure
from softtargets.runs.record import Record

SPEEDS = (80, 90, 95, 98)


def _epochs_to(percent: int) -> Callable[[Record], float | None]:
    def of(record: Record) -> float | None:
        rows = [row for row in record.history if "validation_accuracy" in row]
        return next((float(row["epoch"]) for row in rows if row["validation_accuracy"] >= percent / 100), None)

    return of


def _objective(record: Record) -> float | None:
    return float(record.history[-1]["objective"]) if record.history else None


def _smoothing(record: Record) -> float | None:
    """The equivalent smoothing, Müller et al. 2019's gamma: of the targets that the run was trained with."""
    if record.run is None:
        return None
    teachers = [teacher.predictions for teacher in record.teachers]
    return record.run.objective.equivalent_smoothing(record.predictions, teachers)


def _teacher_accuracy(record: Record) -> float | None:
    from softtargets.metrics import accuracy

    if len(record.teachers) != 1 or len(record.predictions["test.labels"]) == 0:
        return None
    teacher = record.teachers[0].predictions
    return float(accuracy(logits=teacher["test.logits"], labels=teacher["test.labels"]))


def _agreement(record: Record) -> float | None:
    if len(record.teachers) != 1 or len(record.predictions["test.labels"]) == 0:
        return None
    own, theirs = record.predictions["test.logits"], record.teachers[0].predictions["test.logits"]
    return float((own.argmax(-1) == theirs.argmax(-1)).double().mean())


TRAINING: dict[str, Measure] = {
    **{
        f"epochs.validation{percent}": Measure(
            f"time to {percent} %",
            "epochs",
            f"First epoch at whose end {percent} % of the validation split are predicted as observed; none if never.",
            _epochs_to(percent),
        )
        for percent in SPEEDS
    },
    "train.objective": Measure(
        "training loss", "nats", "What was minimised, its mean over the batches of the last epoch.", _objective
    ),
    "smoothing": Measure(
        "smoothing γ of the targets",
        "fraction",
        "K/(K-1) times the targets' mean mass on classes other than the observed label, over the training split: α of "
        "label smoothing. Of students, where their one teacher alone is minimised against.",
        _smoothing,
    ),
    "teacher.test.accuracy": Measure(
        "its teacher's test accuracy", "percent", "Accuracy of the run's teacher on the test split.", _teacher_accuracy
    ),
    "agreement": Measure(
        "agreement with its teacher",
        "percent",
        "Share of the test split for which student and teacher predict the same class.",
        _agreement,
    ),
}
