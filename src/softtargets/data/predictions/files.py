"""Predictions that were made elsewhere, read from files and checked row by row."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from softtargets._errors import InputError, fail
from softtargets.data.arrays.file import ARGUMENT, joined
from softtargets.data.arrays.opening import open_arrays
from softtargets.data.predictions.arrays import PredictionChunk, Predictions, chunk_rows
from softtargets.data.predictions.checks import check_values, checked_labels, floating
from softtargets.data.predictions.parts import PredictionPart, chosen, labels_of, unequal, values_of
from softtargets.metrics.rows import Kind

_LABELS = "labels"


@dataclass(frozen=True, eq=False)
class PredictionFiles:
    """Files of predictions that fit together, read chunk by chunk, as often as is wanted.

    Memory holds a chunk or two and what the reader of the file needs beside them (of .parquet a page of every column,
    of .csv some megabytes read ahead), however many rows there are; an array as a whole only where `notes` says so.

    Attributes:
        paths: The files, whose rows follow one another.
        kind: What the values are.
        num_classes: K.
        num_rows: N, or None where a .csv file tells it only once it is read.
        class_names: What the columns call the classes, in the order of the values, where they carry names.
        has_labels: Whether there are labels.
        notes: What a user should know of how the files are read.
    """

    paths: tuple[Path, ...]
    kind: Kind
    num_classes: int
    num_rows: int | None
    class_names: tuple[str, ...] | None
    has_labels: bool
    notes: tuple[str, ...]
    _name: str = field(repr=False)
    _parts: tuple[PredictionPart, ...] = field(repr=False)
    _apart: PredictionPart | None = field(repr=False)

    def chunks(self, rows: int | None = None) -> Iterator[PredictionChunk]:
        """Yield all rows in order; nothing is read before it is needed.

        Args:
            rows: How many to a chunk, at least 1; the last one of each file has fewer. By default at most 65,536 rows
                and about 4 million numbers.

        Raises:
            InputError: a file that is damaged, a row with fields too many or missing, a cell that is no number; a value
                that is not finite; a row of probabilities with a negative one, or whose sum is further from 1 than
                1e-3 (or than the precision of its type); a label that is no class; more or fewer labels than rows.
        """
        if rows is None:
            rows = chunk_rows(self.num_classes)
        if rows < 1:
            raise fail("rows", "at least 1", rows, "give the number of rows to a chunk")
        apart = None if self._apart is None else (self._apart, self._apart.rows(rows))
        first_row = 0
        for part in self._parts:
            source, file_row = part.rows(rows), 0
            while (taken := source.take(rows)) is not None:
                values = floating(taken[0])
                check_values(values, self.kind, f"--logits {self._name}", part.file.path, file_row)
                labels = None
                if apart is not None:
                    labels = self._labels(apart[0], apart[1].take(len(values)), len(values), first_row)
                elif self.has_labels:
                    labels = self._labels(part, taken[1:], len(values), file_row)
                yield PredictionChunk(values, labels, first_row, part.file.path, file_row)
                file_row += len(values)
                first_row += len(values)
        if apart is not None and apart[1].take(1) is not None:
            raise self._unequal(apart[0])

    def _labels(self, part: PredictionPart, taken: tuple[Tensor, ...] | None, count: int, row: int) -> Tensor:
        if taken is None or len(taken[0]) != count:
            raise self._unequal(part)
        return checked_labels(taken[0], self.num_classes, part.wanted[-1].columns[0], part.file.path, row)

    def _unequal(self, part: PredictionPart) -> InputError:
        num_rows = sum(part.counted() for part in self._parts)
        return unequal(num_rows, str(part.counted()), part.file, part.wanted[-1].columns[0])


def open_predictions(
    paths: Sequence[Path],
    *,
    logits: str | None = None,
    probs: str | None = None,
    labels: str | None = _LABELS,
    labels_from: tuple[Path, str] | None = None,
    num_classes: int | None = None,
) -> PredictionFiles:
    """Look into files of logits or probabilities, and labels where there are any: one file, or shards in order.

    An .npz or .safetensors file holds arrays: (N, K) values and (N,) labels; nothing in it is unpickled. A .parquet
    or .csv file holds columns: the labels, and the values as one column of lists (in CSV a JSON list) or as K columns
    ``probs_0``, ``probs_1``, ... (also ``probs.0``), or ``probs_cat``, ``probs_dog``, ... in the file's order of
    classes; where these carry names, a column of labels may carry them too. What the values are is said by their name
    and never concluded from the numbers.

    Checked here is what the headers say, and the first row of .parquet and .csv files; all rows are when they are read.

    Args:
        paths: .npz, .safetensors, .parquet or .csv files; their rows follow one another.
        logits: The name of logits; with neither this nor `probs`, what is named "logits" or "probs" is read.
        probs: The name of probabilities.
        labels: The name of the labels. "labels" may be absent, another name may not; None reads no labels.
        labels_from: A file of its own for the labels of all rows, and the name of the array or column there; what
            `labels` names is then not looked at.
        num_classes: K, where it is known.

    Raises:
        InputError: a file that is missing, damaged or of another type; no such array, or logits beside probabilities
            and neither named; K that differs from `num_classes` or between files; classes in another order; fewer or
            more labels than rows. Files are named, and rows counted from 0 in each.
    """
    if not paths:
        raise fail(ARGUMENT, "at least one file", "none", "name the files of the predictions")
    files = [open_arrays(Path(path)) for path in paths]
    kind, name = chosen(files[0], logits, probs)
    if labels_from is not None or (labels == _LABELS and not any(_LABELS in file.names for file in files)):
        labels = None
    class_names = files[0].class_names(name)
    found = [values_of(file, kind, name) for file in files]
    width = found[0].width if num_classes is None else num_classes
    parts: list[PredictionPart] = []
    for file, (values, count, own_width) in zip(files, found, strict=True):
        if own_width != width:
            whose = "the number of classes" if num_classes is not None else f"as in {files[0].path}"
            required = f"{width} values in every row, {whose}"
            raise fail(ARGUMENT, required, f"{own_width} in {file.path}", "give the same classes everywhere")
        if file.class_names(name) != class_names:
            got = f"{', '.join(file.columns(name))} in {file.path}"
            raise fail(ARGUMENT, f"the classes in the order of {files[0].path}", got, "write them in one order")
        beside = () if labels is None else (labels_of(file, labels, class_names, count)[0],)
        parts.append(PredictionPart(file, (values, *beside), count))
    counts = [part.num_rows for part in parts if part.num_rows is not None]
    num_rows = sum(counts) if len(counts) == len(parts) else None
    apart = None if labels_from is None else _labels_apart(labels_from, class_names, num_rows)
    return PredictionFiles(
        paths=tuple(file.path for file in files),
        kind=kind,
        num_classes=width,
        num_rows=num_rows,
        class_names=class_names,
        has_labels=labels is not None or apart is not None,
        notes=tuple(note for part in parts for wanted in part.wanted if (note := part.file.note(wanted)) is not None),
        _name=name,
        _parts=tuple(parts),
        _apart=apart,
    )


def read_predictions(
    paths: Sequence[Path],
    *,
    logits: str | None = None,
    probs: str | None = None,
    labels: str | None = _LABELS,
    num_classes: int | None = None,
) -> Predictions:
    """Read and check all rows at once; arguments and errors as in `open_predictions` and its chunks."""
    files = open_predictions(paths, logits=logits, probs=probs, labels=labels, num_classes=num_classes)
    mapped = _mapped(files)
    values: list[Tensor] = []
    observed: list[Tensor] = []
    for chunk in files.chunks():
        if mapped is None:
            values.append(chunk.values)
        if chunk.labels is not None:
            observed.append(chunk.labels)
    labelled = joined(observed) if files.has_labels else None
    return Predictions(joined(values) if mapped is None else mapped, files.kind, labelled, files.class_names)


def _mapped(files: PredictionFiles) -> Tensor | None:
    """Return all values so that only the rows looked at are in memory, where one file allows it."""
    first, *others = files._parts
    whole = None if others else first.file.mapped(first.wanted[0])
    return None if whole is None else floating(whole)


def _labels_apart(place: tuple[Path, str], class_names: tuple[str, ...] | None, num_rows: int | None) -> PredictionPart:
    file = open_arrays(Path(place[0]))
    wanted, count = labels_of(file, place[1], class_names, num_rows)
    return PredictionPart(file, (wanted,), count)
