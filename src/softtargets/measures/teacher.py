"""What a run was taught by its targets or by its teacher, and what became of that."""

from softtargets import distill
from softtargets.measures.accuracy import accuracy_on
from softtargets.measures.registry import measure
from softtargets.runs.distillation import DistillationSpec
from softtargets.runs.objectives import CrossEntropySpec
from softtargets.runs.record import Record


@measure("smoothing", label="smoothing γ of the targets", unit="fraction")
def smoothing(record: Record) -> float | None:
    """K/(K-1) times the targets' mean mass on classes other than the observed label, over the training split: α of
    label smoothing. Of students, where their one teacher alone is minimised against.
    """
    # Müller et al. 2019's gamma
    objective = None if record.run is None else record.run.objective
    if isinstance(objective, CrossEntropySpec) and objective.convention == "all":
        return objective.smoothing
    if not isinstance(objective, DistillationSpec) or len(record.teachers) != 1 or objective.loss != "kl":
        return None
    if objective.share_of_labels != 0:
        return None  # the labels have a part in the targets, which the scale of the teacher's term decides
    logits = record.teachers[0].predictions["train.logits"].double()
    if objective.cache is not None and not objective.cache.all_of(logits.shape[1]):
        return None  # of some classes, or of draws: not the teacher's own probabilities
    # against the labels that it was given, as α is; it has its teacher's training examples, in their order
    labels = record.predictions["train.observed"]
    if objective.standardized:
        logits = distill.standardize(logits)
    teachers_own = float(distill.equivalent_smoothing(logits, labels, temperature=objective.temperature))
    return (1 - objective.smoothing) * teachers_own + objective.smoothing


@measure("teacher.test.accuracy", label="its teacher's test accuracy", unit="percent")
def accuracy_of_teacher(record: Record) -> float | None:
    """Accuracy of the run's teacher on the test split."""
    return accuracy_on(record.teachers[0], "test") if len(record.teachers) == 1 else None


@measure("agreement", label="agreement with its teacher", unit="percent")
def agreement(record: Record) -> float | None:
    """Share of the test split for which student and teacher predict the same class."""
    if len(record.teachers) != 1 or len(record.predictions["test.labels"]) == 0:
        return None
    own, theirs = record.predictions["test.logits"], record.teachers[0].predictions["test.logits"]
    return float((own.argmax(-1) == theirs.argmax(-1)).double().mean())
