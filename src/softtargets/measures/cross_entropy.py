"""Cross entropy between a student and its teacher on the training split, by epoch: Shen et al. 2021, Eq. 4."""

import torch

from softtargets._errors import fail
from softtargets.measures.registry import Measure, network_measures, network_trace
from softtargets.measures.subject import SAMPLE, Subject, stratified
from softtargets.objectives.distillation import Distillation
from softtargets.runs.record import read_history
from softtargets.runs.streams import generator

CROSS_ENTROPY = "train.cross_entropy"


@network_measures(
    "cross_entropy",
    Measure(
        CROSS_ENTROPY,
        "training cross entropy with the teacher",
        "nats",
        "Cross entropy of the student's predictions against its teacher's over the training split (Shen et al. 2021, "
        "Eq. 4): the mean training loss of the last epoch, which is the KL divergence, plus the mean entropy of the "
        "teacher's predictions. With augmentation, the entropy is estimated on one augmented copy of about 5,000 "
        "training examples (stratified).",
    ),
)
def cross_entropy(subject: Subject) -> dict[str, float]:
    """Return the cross entropy between student and teacher in the last epoch; nothing for other runs."""
    return {CROSS_ENTROPY: cross_entropy_by_epoch(subject)[-1][1]} if _follows_teacher(subject) else {}


@network_trace(CROSS_ENTROPY)
def cross_entropy_by_epoch(subject: Subject) -> list[tuple[int, float]]:
    """Return the cross entropy between student and teacher after each epoch.

    H(teacher, student) = KL(teacher, student) + H(teacher)        # Shen et al. 2021, Eqs. 3 and 4

    Raises:
        InputError: if the objective is not the KL divergence from a single teacher at temperature 1.
    """
    if not _follows_teacher(subject):
        required = "an objective that is only the KL divergence from one teacher at temperature 1"
        remedy = "measure it on runs with objective = { name = 'distillation' } and its defaults"
        raise fail(CROSS_ENTROPY, required, f"'{subject.resolved.run.objective.name}' with other settings", remedy)
    entropy = _entropy_of_teacher(subject)
    return [(row["epoch"], row["objective"] + entropy) for row in read_history(subject.folder)]


def _follows_teacher(subject: Subject) -> bool:
    """Return whether the objective is the KL divergence from one teacher's probabilities and nothing else."""
    objective = subject.resolved.run.objective
    if not isinstance(objective, Distillation) or len(subject.resolved.teachers or ()) != 1:
        return False
    own = {"loss": "kl", "weight": 1.0, "temperature": 1.0, "standardized": False, "smoothing": 0.0, "transition": None}
    return (
        all(getattr(objective, name) == value for name, value in own.items())
        and objective.share_of_labels == 0
        and objective.student_temperature in (None, 1.0)
        and (objective.cache is None or objective.cache.all_of())
    )


def _entropy_of_teacher(subject: Subject) -> float:
    """Return the mean entropy of the teacher's predictions for the training examples, augmented as the student's."""
    run = subject.resolved.run
    (teacher,) = subject.teachers
    if run.augmentation.active:
        rows = subject.predictions["train.ids"][stratified(subject.predictions["train.labels"], SAMPLE)]
        logits = teacher.logits(rows, generator("teacher entropy", run.seeds.augmentation), run.augmentation)
    else:
        logits = teacher.predictions["train.logits"]
    return float(torch.distributions.Categorical(logits=logits.double()).entropy().mean())
