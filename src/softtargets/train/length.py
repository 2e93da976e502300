"""The length of a run, and the settings that must fit it."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from softtargets._errors import InputError, fail
from softtargets.data.batches import check_augmentation
from softtargets.data.dataset import Dataset
from softtargets.runs.spec import RunSpec


@dataclass(frozen=True)
class Length:
    """The length of a run in steps and epochs."""

    steps: int
    steps_per_epoch: int

    @property
    def epochs(self) -> int:
        """Number of epochs, counting one that is cut short."""
        return math.ceil(self.steps / self.steps_per_epoch)


def length_of(run: RunSpec, train_examples: int) -> Length:
    """Return the length of a run on a training split of this size. The last batch of an epoch may be smaller."""
    per_epoch = math.ceil(train_examples / run.training.batch_size)
    return Length(run.training.steps or (run.training.epochs or 0) * per_epoch, per_epoch)


def check_test_size(model: nn.Module, dataset: Dataset) -> None:
    """Require a network that takes images of the size of evaluation, if it is another than in training."""
    if dataset.test_shape == dataset.input_shape:
        return
    device = next(model.parameters()).device
    with torch.no_grad(), evaluating(model):
        try:
            model(torch.zeros(1, *dataset.test_shape, device=device))
        except (InputError, ValueError, RuntimeError) as error:
            sizes = f"{dataset.test_shape[-1]} with size {dataset.input_shape[-1]} ({str(error).splitlines()[0]})"
            required = "the size of training images, for a network that takes one size only"
            raise fail("data.test_size", required, sizes, "remove it, or take another network") from error


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode, and back into training mode."""
    model.eval()
    try:
        yield
    finally:
        model.train()


def check_fit(run: RunSpec, dataset: Dataset, length: Length) -> None:
    """Reject settings that do not fit the data set or the length of the run."""
    check_augmentation(run.augmentation, dataset)
    if run.training.evaluate_every is not None and len(dataset.splits["validation"]) == 0:
        raise fail("training.evaluate_every", "a validation split", "none", "set data.validation or drop the key")
    if (run.training.evaluate_every or 1) > length.epochs:
        required = f"at most {length.epochs}, the number of epochs"
        raise fail(
            "training.evaluate_every", required, run.training.evaluate_every, "give a smaller value or remove the key"
        )
    if run.training.accumulate is not None and run.objective.needs_whole_batch:
        required = f"1 with the objective '{run.objective.name}', whose loss compares examples of a batch"
        raise fail("training.accumulate", required, run.training.accumulate, "remove the key or lower batch_size")
    warmup = run.schedule.warmup_of(length.steps)
    if warmup >= length.steps:
        key = "schedule.warmup_steps" if run.schedule.warmup is None else "schedule.warmup"
        got = f"{warmup} of {length.steps}"
        raise fail(key, "fewer than the steps of the run", got, "give a smaller value or train longer")
