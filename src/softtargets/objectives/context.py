"""What an objective is given: facts about the data and the training once, and a batch at every step."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

import torch
from torch import Tensor

from softtargets._errors import fail
from softtargets.data.dataset import SPLITS, Dataset
from softtargets.data.tokens import NetworkInputs, rows_at
from softtargets.matrices import Transition
from softtargets.targets import Targets, votes

# (ids, inputs) -> (M, n, K) logits of M teachers, or M Targets if a cache keeps less than the logits
TeacherFn = Callable[[Tensor, NetworkInputs], Tensor | tuple[Targets, ...]]
# what a run records of its trained network, by name, such as "train.logits" and "train.observed"
Predictions = dict[str, Tensor]


@dataclass(frozen=True)
class Batch:
    """The data of one step.

    Args:
        inputs: (N, ...) float, normalised and augmented; or N rows of tokens.
        labels: (N,) int64, observed. The label of a row without one may be any number. Of rows of tokens that a network
            writes, (T,) for all T tokens that it predicts: each of them is an example.
        ids: (N,) int64, rows of the data set; (T,) for the row of each token.
        counts: (N,) int64, the number of predicted tokens of each row of such inputs; otherwise None.
        labelled: (N,) bool, False for a row without a label; None: all rows have one.
        votes: (N, K) float32, the votes or the distribution of each row, of which `labels` is the most frequent class;
            None: labels are classes.
        targets: made by an objective that smooths, mixes or redraws labels; None: the objective uses the labels, or the
            shares of the votes.
        teacher_logits: (n, K), of a teacher that was queried with these inputs; None if there is no teacher.
        teacher_targets: for each teacher, the part of its probabilities that a cache keeps.
    """

    inputs: NetworkInputs
    labels: Tensor
    ids: Tensor
    labelled: Tensor | None = None
    votes: Tensor | None = None
    targets: Targets | None = None
    teacher_logits: Tensor | None = None
    teacher_targets: tuple[Targets, ...] = ()
    counts: Tensor | None = None

    @property
    def labels_or_targets(self) -> Tensor | Targets:
        """The targets if an objective has made some, else the shares of the votes if there are any, else the labels."""
        if self.targets is None and self.votes is not None:
            return votes(self.votes)
        return self.labels if self.targets is None else self.targets

    def rows(self, at: Tensor) -> Self:
        """Return the inputs, labels and ids of some rows of the batch, in this order, before any targets are made."""
        labelled, votes = (None if each is None else each[at] for each in (self.labelled, self.votes))
        return type(self)(rows_at(self.inputs, at), self.labels[at], self.ids[at], labelled, votes)


@dataclass(frozen=True)
class TrainingData:
    """Facts about the training data that an objective may use when it is started.

    Args:
        class_names: the name of each class.
        input_shape: (C, H, W) for images, (D,) for a table or texts.
        labels: (N,) int64, the observed labels of the whole data set. The number of a row without one means nothing.
        train: (n,) int64, rows of the training split.
        source: (m,) int64, rows of the data set's own training part in its order, before a test split, a limit or a
            fold is taken from it. Files with one entry per training example have these rows.
        texts: the N texts, if the inputs are word counts, else None.
        labelled: (N,) bool, False for a training row without a label; None: all rows have one.
        votes: (N, K) float32, the votes or the distribution of each row, of which `labels` is the most frequent class;
            None: labels are classes.
    """

    class_names: tuple[str, ...]
    input_shape: tuple[int, ...]
    labels: Tensor
    train: Tensor
    source: Tensor
    texts: tuple[str, ...] | None = None
    labelled: Tensor | None = None
    votes: Tensor | None = None

    @classmethod
    def of(cls, dataset: Dataset, labels: Tensor) -> Self:
        """Return the facts about a data set, with the observed labels (N,)."""
        source = torch.nonzero(dataset.origin == SPLITS.index("train")).flatten()
        rows = {"train": dataset.splits["train"], "labelled": dataset.labelled, "votes": dataset.votes}
        return cls(dataset.class_names, dataset.input_shape, labels.cpu(), source=source, texts=dataset.texts, **rows)

    @property
    def labelled_train(self) -> Tensor:
        """The rows of the training split that have a label, (n,) int64."""
        return self.train if self.labelled is None else self.train[self.labelled[self.train]]

    @property
    def class_counts(self) -> Tensor:
        """The number of training examples with each observed label, or the sum of the shares of votes, (K,)."""
        if self.votes is not None:
            return votes(self.votes[self.train]).to_dense().double().sum(0)
        return torch.bincount(self.labels[self.labelled_train], minlength=len(self.class_names))


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
        sequences: whether the examples are the tokens of rows that the network writes.
        data: facts about the training data, for objectives that use class frequencies, class names, texts or files.
    """

    num_examples: int
    num_classes: int
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    transition: Transition | None = None
    epochs: int = 1
    teacher: TeacherFn | None = None
    data: TrainingData | None = None
    sequences: bool = False

    def require_data(self, user: str) -> TrainingData:
        """Return the facts about the training data.

        Raises:
            InputError: if there are none, naming the objective that uses them.
        """
        if self.data is None:
            required = f"the training data, which '{user}' uses"
            raise fail("context.data", required, None, "pass ObjectiveContext(data=TrainingData.of(dataset, labels))")
        return self.data
