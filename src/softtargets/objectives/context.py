"""What an objective is given: facts about the data and the training once, and a batch at every step."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from softtargets.matrices import Transition
from softtargets.targets import Targets

# (ids, inputs) -> (M, n, K) logits of M teachers, or M Targets if a cache keeps less than the logits
TeacherFn = Callable[[Tensor, Tensor], Tensor | tuple[Targets, ...]]
# what a run records of its trained network, by name, such as "train.logits" and "train.observed"
Predictions = dict[str, Tensor]


@dataclass(frozen=True)
class Batch:
    """The data of one step.

    Args:
        inputs: (N, ...) float, normalised and augmented.
        labels: (N,) int64, observed.
        ids: (N,) int64, rows of the data set.
        targets: made by an objective that mixes or redraws labels; None: the objective uses `labels`.
        teacher_logits: (n, K), of a teacher that was queried with these inputs; None if there is no teacher.
        teacher_targets: for each teacher, the part of its probabilities that a cache keeps.
    """

    inputs: Tensor
    labels: Tensor
    ids: Tensor
    targets: Targets | None = None
    teacher_logits: Tensor | None = None
    teacher_targets: tuple[Targets, ...] = ()


@dataclass(frozen=True)
class ObjectiveContext:
    """Facts about the data and the training that an objective is started with.

    Args:
        num_examples: rows of the whole data set; `ids` are below it.
        num_classes: K.
        device: the device of the batches and of the objective's own parameters.
        transition: clean -> observed, for a specification that needs the known or an estimated one.
        epochs: number of epochs of the whole training; schedules are shares of it.
        teacher: (ids, inputs) -> (M, n, K) logits of the run's M teachers, or M Targets if a cache keeps less; None if
            there are no teachers.
    """

    num_examples: int
    num_classes: int
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    transition: Transition | None = None
    epochs: int = 1
    teacher: TeacherFn | None = None
