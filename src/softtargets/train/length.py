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
from softtargets.data.tokens import TokenShape, token_batches
from softtargets.models import MODELS
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


def length_of(run: RunSpec, dataset: Dataset) -> Length:
    """Return the length of a run on a data set. The last batch of an epoch may be smaller.

    Raises:
        InputError: batches by tokens of data that are not tokens, or of rows that are longer than a batch; batches with
            a number of labelled rows of data without unlabelled ones.
    """
    training, rows = run.training, dataset.splits["train"]
    if training.labelled_batch is not None:
        unlabelled = len(rows) - len(dataset.labelled_train)
        if unlabelled == 0:
            required = "left out for training data that are all labelled"
            raise fail("training.labelled_batch", required, training.labelled_batch, "remove the key")
        per_epoch = math.ceil(unlabelled / (training.batch_size - training.labelled_batch))
    elif training.batch_tokens is None:
        per_epoch = math.ceil(len(rows) / training.batch_size)
    elif dataset.tokenizer is None:
        got = f"{training.batch_tokens} for '{dataset.name}'"
        raise fail("training.batch_tokens", "left out for data without data.tokenizer", got, "use batch_size")
    else:
        # the number does not depend on the order of the rows
        per_epoch = len(token_batches(dataset.row_lengths, rows, training.batch_tokens))
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
    """Put a network into evaluation mode, and back into the mode that it had."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def check_fit(run: RunSpec, dataset: Dataset, length: Length) -> None:
    """Reject settings that do not fit the data set or the length of the run."""
    check_augmentation(run.augmentation, dataset)
    _check_tokens(run, dataset)
    _check_sequences(run, dataset)
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


def _check_sequences(run: RunSpec, dataset: Dataset) -> None:
    """Require a network for rows of tokens that are written, and reject settings that are not defined for them."""
    kind = ("pairs" if dataset.is_pair else "texts") if dataset.is_sequence else None
    if kind != run.model.writes:
        known = ", ".join(name for name, model in MODELS.items() if model.writes == kind)
        what = {"pairs": "sentence pairs", "texts": "texts without labels", None: "data with labels"}[kind]
        required = f"a network for {what}{f': {known}' if kind else ''}"
        remedy = "use another network, or other settings of data.source and data.target"
        raise fail("model.name", required, f"'{run.model.name}' for '{dataset.name}'", remedy)
    if run.objective.translates is not None and kind != "pairs":
        raise fail("objective.beam", "left out for data without sentence pairs", "given", "remove the key")
    if run.objective.translates is not None and len(run.teachers or ()) != 1:
        raise fail("teachers", "one teacher, which translates", len(run.teachers or ()), "remove the others")
    if kind is None:
        return
    refused = {
        "noise": run.noise,
        "training.devices": run.training.devices,
        "training.dynamics": run.training.dynamics or None,
        "objective.cache": "one" if run.objective.caches_teachers else None,
    }
    for key, given in refused.items():
        if given is not None:
            got = f"'{given.name}'" if key == "noise" and run.noise is not None else given
            raise fail(key, "left out where the network writes rows of tokens (data.target)", got, "remove the key")


def _check_tokens(run: RunSpec, dataset: Dataset) -> None:
    """Require rows that are not longer than the network takes."""
    if not isinstance(dataset.input_shape, TokenShape):
        return
    most, longest = run.model.most_tokens(dataset.input_shape, dataset.num_classes), int(dataset.row_lengths.max())
    if most is not None and longest > most:
        required = f"texts of at most {most} tokens, as many as '{run.model.name}' takes"
        remedy = "set data.tokenizer.max_length with truncate = true, or take a network of more positions"
        raise fail("data.tokenizer", required, f"{longest} in {dataset.longest_row}", remedy)
