"""What an objective is given: the data and the training once, and a batch at every step."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from softtargets.matrices import Transition
from softtargets.targets import Targets

# (ids, inputs) -> (M, n, K) logits of M teachers, or M targets where less is kept of them
TeacherFn = Callable[[Tensor, Tensor], Tensor | tuple[Targets, ...]]
# what a run records of its trained network: "train.logits", "train.observed" and the like
Predictions = dict[str, Tensor]


@dataclass(frozen=True)
class Batch:
    """What one step sees.

    Args:
        inputs: (N, ...) float, normalised and augmented.
        labels: (N,) int64, observed.
        ids: (N,) int64, rows of the data set.
        targets: made by an objective that mixes or redraws labels; None: the objective uses `labels`.
        teacher_logits: (n, K), of a teacher that was queried with these inputs; None without one.
        teacher_targets: what was kept of each teacher's probabilities, where that is not all of them.
    """

    inputs: Tensor
    labels: Tensor
    ids: Tensor
    targets: Targets | None = None
    teacher_logits: Tensor | None = None
    teacher_targets: tuple[Targets, ...] = ()


@dataclass(frozen=True)
class ObjectiveContext:
    """What an objective may know of the data and of the training when it is started.

    Args:
        num_examples: rows of the whole data set; `ids` are below it.
        num_classes: K.
        device: where batches, and parameters of the objective's own, are.
        transition: clean -> observed, for a specification that needs the known or an estimated one.
        epochs: of the whole training; schedules are shares of them.
        teacher: (ids, inputs) -> (M, n, K) logits of the run's M teachers, or M targets where a cache keeps less; None
            where there are none.
    """

    num_examples: int
    num_classes: int
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    transition: Transition | None = None
    epochs: int = 1
    teacher: TeacherFn | None = None
