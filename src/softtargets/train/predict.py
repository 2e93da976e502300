"""Predicting a data set with the network of a finished run: files that `evaluate` and `audit` read."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from softtargets._errors import fail
from softtargets.data.batches import PREDICTED_ROWS, Inputs, predicted_images, predicted_texts
from softtargets.data.dataset import SPLITS, Dataset
from softtargets.data.predictions.writing import open_writer, output_path
from softtargets.data.rows import open_rows
from softtargets.data.spec import DataSpec
from softtargets.data.tokens import NetworkInputs, TokenShape
from softtargets.metrics.arguments import Kind
from softtargets.runs.finding import find_run
from softtargets.runs.machine import quiet_machine
from softtargets.train.load import LoadedRun, load_run

Split = Literal["train", "validation", "test", "all"]


@dataclass(frozen=True)
class PredictOptions:
    """How a data set is read and what is written.

    Args:
        label: column of the labels. None: the column that the run was trained with, if the data set has it, or its
            only column of class labels; without such a column the predictions have no labels.
        image: column of the images. None: the only one.
        text: column of the texts. None: the column that the run was trained with.
        features: numeric columns. Empty: those that the run was trained with, by their names.
        split: "train", "validation" or "test" of the data set's own splits (of the run's, if these are the data of the
            run), or "all". None: "test" if there is such a split, otherwise all rows.
        probs: write probabilities instead of logits.
        labels: whether to write labels. None: if the data set has them.
        selected: use the weights of the epoch that did best on the validation split, for a run that was evaluated in
            training, instead of those after the last step.
        calibrator: calibrate the predictions: by a calibrator that is fitted on the run's validation split, such as
            "temperature-scaling", or by that of a .safetensors file; see :meth:`LoadedRun.calibrate`. The logits are
            then log-probabilities.
    """

    label: str | None = None
    image: str | None = None
    text: str | None = None
    features: tuple[str, ...] = ()
    split: Split | None = None
    probs: bool = False
    labels: bool | None = None
    selected: bool = False
    calibrator: Path | str | None = None


@dataclass(frozen=True)
class Predicted:
    """What was predicted.

    Attributes:
        path: the file of predictions.
        run: folder of the run.
        data: name of the data set.
        splits: the splits that were predicted, in order; empty if the data set has no splits.
        num_rows: number of rows.
        class_names: the classes, in the order of the values.
        kind: "logits" or "probs".
        accuracy: fraction in [0, 1] of the rows that are classified correctly; None without labels.
        calibrator: what the predictions were calibrated by, in words; None: nothing.
    """

    path: Path
    run: Path
    data: str
    splits: tuple[str, ...]
    num_rows: int
    class_names: tuple[str, ...]
    kind: Kind
    accuracy: float | None
    calibrator: str | None = None

    def __repr__(self) -> str:
        reached = "no labels" if self.accuracy is None else f"accuracy {self.accuracy:.4f}"
        return (
            f"Predicted({self.num_rows:,} rows of {self.data}, {len(self.class_names)} classes, {reached}; {self.path})"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {**vars(self), "path": str(self.path), "run": str(self.run)}


def predict_run(
    run: Path | str,
    data: Path | str,
    output: Path | str,
    *,
    runs: Path | str = "runs",
    options: PredictOptions = PredictOptions(),
    on_rows: Callable[[int], None] = lambda rows: None,
) -> Predicted:
    """Predict a data set with the network of a finished run, and write the predictions to a file.

    The inputs are normalised by the statistics of the run's training split. Rows are read, predicted and written in
    blocks, so memory does not grow with the number of rows. Class names of the data set stand for the run's classes of
    these names.

    Args:
        run: folder of a finished run, or the first digits of its identity in `runs`.
        data: data set of the same kind as the run's: a file, a folder or a name on the Hugging Face Hub, as in a
            :class:`DataSpec`; also an image, or a folder of images without labels.
        output: .safetensors, .npz, .parquet or .csv file, which :func:`softtargets.evaluate.evaluate_predictions` and
            :func:`softtargets.audit.audit_labels` read: logits or probabilities, ids of the rows (counted from 0), the
            labels if there are any, and the class names. Tables also have the predicted class and its probability.
        runs: folder of the run store.
        options: columns, split and contents of the file.
        on_rows: called with the number of rows that were predicted, after every block.

    Returns:
        The number of rows, the classes and the accuracy.

    Raises:
        InputError: no such run, or one that is not finished; a data set, column or split that does not exist; inputs of
            another kind or size than the run's; a label that is not one of the run's classes; an image or a number that
            cannot be read. Errors name the file and the row.
    """
    path = output_path("output", output)
    trained = load_run(find_run(run, runs), selected=options.selected)
    _require_labels(trained)
    if options.calibrator is not None:
        trained = trained.calibrate(options.calibrator)
    model = trained.model.to(prediction_device(trained))

    def logits(inputs: NetworkInputs) -> Tensor:
        return trained.classifier.calibrated(model.logits(inputs).cpu())

    return write_predictions(trained, logits, data, path, options, on_rows)


def prediction_device(trained: LoadedRun) -> torch.device:
    """Return the device on which the network of a run predicts."""
    return torch.device("cuda" if trained.resolved.backend == "cuda" and torch.cuda.is_available() else "cpu")


def write_predictions(
    trained: LoadedRun,
    logits_of: Callable[[NetworkInputs], Tensor],
    data: Path | str,
    path: Path,
    options: PredictOptions,
    on_rows: Callable[[int], None],
) -> Predicted:
    """Predict a data set by a function, and write the predictions to a file; see :func:`predict_run`.

    Args:
        trained: the run whose inputs, classes, columns and splits the function is for.
        logits_of: returns the (n, K) logits, on the CPU, of normalised inputs on :func:`prediction_device`.
        data: the data set.
        path: the file.
        options: columns, split and contents of the file.
        on_rows: called with the number of rows that were predicted, after every block.
    """
    source = _source(str(data), trained, options, prediction_device(trained))
    kind: Kind = "probs" if options.probs else "logits"
    rows = correct = 0
    with (
        quiet_machine(trained.resolved.run.training.threads),
        open_writer(path, kind, trained.class_names, labelled=source.labelled) as writer,
    ):
        for block in source.blocks():
            logits = logits_of(block.inputs)
            values = logits.double().softmax(1).float() if options.probs else logits
            writer.add(values, block.labels, files=block.files)
            rows += len(logits)
            correct += 0 if block.labels is None else int((logits.argmax(1) == block.labels).sum())
            on_rows(rows)
        if rows == 0:
            raise fail("data", "at least one row", f"none in '{data}'", "check the data set and the split")
    reached = correct / rows if source.labelled else None
    by = None if trained.calibrator is None else repr(trained.calibrator)
    return Predicted(path, trained.folder, source.name, source.splits, rows, trained.class_names, kind, reached, by)


def _require_labels(trained: LoadedRun) -> None:
    """Refuse networks that write tokens: the probabilities of their next tokens would be a table per sentence."""
    if trained.specification.data.target is not None:
        name = trained.result["data"]["name"]
        remedy = f"evaluate next tokens with: softtargets evaluate {trained.folder}"
        if trained.preprocessing.is_pair:
            remedy = f"use translate_run for translations, or {remedy}"
        raise fail(
            "run", "a run that predicts one label for each row", f"one that writes the texts of '{name}'", remedy
        )


@dataclass(frozen=True)
class _Block:
    """Normalised inputs on the device, the labels and the files of some rows."""

    inputs: NetworkInputs
    labels: Tensor | None
    files: tuple[str, ...] | None = None


@dataclass(frozen=True)
class _Source:
    """The rows to predict."""

    name: str
    splits: tuple[str, ...]
    labelled: bool
    blocks: Callable[[], Iterator[_Block]]


def _source(data: str, trained: LoadedRun, options: PredictOptions, device: torch.device) -> _Source:
    columns = {name: value for name in ("label", "image", "text", "features") if (value := getattr(options, name))}
    if not columns and is_same_data(data, trained.resolved.run.data.name):
        return _own_rows(trained.dataset, Inputs(trained.dataset, device), options)
    # the column of the labels may be missing unless it was asked for
    labels = True if options.label is not None and options.labels is None else options.labels
    spec = DataSpec.parse({"name": data, "label": trained.resolved.run.data.label, **columns}, source="data")
    rows = open_rows(spec, trained.preprocessing, trained.class_names, labels=labels)
    splits = chosen_splits(options.split, rows.splits, data)
    normalise, view = trained.preprocessing.on(device), trained.preprocessing.view
    size = PREDICTED_ROWS if view is None else predicted_images(4 * view.channels * math.prod(view.test), device)
    if isinstance(trained.input_shape, TokenShape):
        size = predicted_texts(trained.input_shape.max_length, device)

    def blocks() -> Iterator[_Block]:
        for block in rows.blocks(splits, size):
            yield _Block(normalise(block.inputs.to(device)), block.labels, block.files)

    return _Source(rows.name, splits if len(rows.splits) > 1 else (), rows.labelled, blocks)


def _own_rows(dataset: Dataset, inputs: Inputs, options: PredictOptions) -> _Source:
    """Return the rows of the data that the run was trained on, in its splits."""
    splits = chosen_splits(options.split, tuple(name for name in SPLITS if len(dataset.splits[name])), dataset.name)
    chosen = torch.cat([dataset.splits[name] for name in splits])
    whole = dataset.labelled is None or bool(dataset.labelled[chosen].all())
    if options.labels and not whole:
        remedy = "predict without labels, or the test split"
        raise fail("labels", "rows that all have a label", "rows without one", remedy)
    labelled = options.labels is not False and whole

    def blocks() -> Iterator[_Block]:
        parts = chosen.split(inputs.predicted_rows)
        for rows, batch in zip(parts, inputs.batches(chosen, inputs.predicted_rows), strict=True):
            yield _Block(batch, dataset.labels[rows] if labelled else None)

    return _Source(dataset.name, splits, labelled, blocks)


def chosen_splits(split: Split | None, there: tuple[str, ...], data: str) -> tuple[str, ...]:
    """Return the splits to predict of those that a data set has."""
    if split == "all" or (split is None and "test" not in there):
        return there
    name = split or "test"
    if name not in there:
        raise fail("split", f"one of {', '.join(there)}, all", f"'{name}', which '{data}' does not have", "use one")
    return (name,)


def is_same_data(data: str, name: str) -> bool:
    """Return whether two names of data sets are the same, or the same file or folder."""
    if data == name:
        return True
    first, other = Path(data).expanduser(), Path(name).expanduser()
    return first.exists() and other.exists() and first.samefile(other)
