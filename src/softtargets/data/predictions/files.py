"""Predictions of any model, read from files in chunks and checked row by row."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from softtargets._errors import InputError, fail
from softtargets._rows import two_columns
from softtargets.data.arrays.file import ARGUMENT
from softtargets.data.arrays.opening import open_arrays
from softtargets.data.limits import check_rows
from softtargets.data.predictions.arrays import PredictionChunk, Predictions, chunk_rows
from softtargets.data.predictions.checks import IGNORED, RowPlaces, check_values, checked_labels, floating, token_labels
from softtargets.data.predictions.parts import (
    PredictionPart,
    SequenceNames,
    chosen,
    labels_of,
    mask_of,
    positions_of,
    unequal,
    values_of,
)
from softtargets.data.predictions.spill import RowBuffer
from softtargets.metrics.arguments import Kind
from softtargets.metrics.soft_labels import read_soft_labels

_LABELS = "labels"
_LABELS_AT_A_TIME = 2**20


@dataclass(frozen=True, eq=False)
class PredictionFiles:
    """Files of predictions that belong together, read in chunks, as often as needed.

    Memory use does not grow with the number of rows: it holds one or two chunks and the buffers of the file's reader (a
    page of every column of .parquet, some megabytes of .csv). An array is held whole only if `notes` says so.
    The rows of sequences are their tokens, N * L in place of N.

    Attributes:
        paths: The files, in the order of their rows.
        kind: Whether the values are logits or probabilities.
        num_classes: K.
        num_rows: N, or None if it is unknown before a .csv file is read.
        class_names: The class names in the files, in the order of the values, or None.
        has_labels: Whether there are labels.
        notes: Remarks for the user on how the files are read.
        positions: L if the rows are the tokens of sequences, else None.
    """

    paths: tuple[Path, ...]
    kind: Kind
    num_classes: int
    num_rows: int | None
    class_names: tuple[str, ...] | None
    has_labels: bool
    notes: tuple[str, ...]
    positions: int | None
    _name: str = field(repr=False)
    _parts: tuple[PredictionPart, ...] = field(repr=False)
    _apart: PredictionPart | None = field(repr=False)

    def chunks(self, rows: int | None = None, *, check: bool = True) -> Iterator[PredictionChunk]:
        """Yield all rows in order; nothing is read before it is needed.

        Args:
            rows: The number of rows in a chunk, at least 1; the last chunk of each file may have fewer. By default at
                most 65,536 rows and about 4 million numbers.
            check: Whether to check the values. False for files whose rows have been checked before.

        Raises:
            InputError: a damaged file; a row with too many or too few fields; a cell that is not a number; a value that
                is not finite; a row of probabilities with a negative value, or whose sum differs from 1 by more than
                1e-3 (or the precision of its type); a label that is not a class; more or fewer labels than rows.
        """
        if rows is None:
            rows = chunk_rows(self.num_classes)
        if rows < 1:
            raise fail("rows", "at least 1", rows, "give the number of rows in a chunk")
        apart = None if self._apart is None else (self._apart, self._apart.rows(rows))
        first_row = 0
        for part in self._parts:
            source, file_row = part.rows(rows), 0
            while (taken := source.take(rows)) is not None:
                values = two_columns(self.kind, floating(taken[0]))
                labels = soft = None
                if apart is not None:
                    labels, soft = self._labels(apart[0], apart[1].take(len(values)), len(values), first_row)
                elif self.has_labels:
                    labels, soft = self._labels(part, taken[1:], len(values), file_row)
                if check:
                    self._check(values, labels, RowPlaces(part.file.path, file_row, self.positions))
                yield PredictionChunk(values, labels, first_row, part.file.path, file_row, soft)
                file_row += len(values)
                first_row += len(values)
        if apart is not None and apart[1].take(1) is not None:
            raise self._unequal(apart[0])

    def counted_rows(self) -> int:
        """Return N; files of unknown length are read for it."""
        return sum(part.counted() for part in self._parts) if self.num_rows is None else self.num_rows

    def label_chunks(self) -> Iterator[Tensor]:
        """Yield the labels in order, without reading the values."""
        for part in self._parts if self._apart is None else (self._apart,):
            own, row = replace(part, wanted=part.labels), 0
            source = own.rows(_LABELS_AT_A_TIME)
            while (taken := source.take(_LABELS_AT_A_TIME)) is not None:
                yield self._labels(own, taken, len(taken[0]), row)[0]
                row += len(taken[0])

    def _check(self, values: Tensor, labels: Tensor | None, places: RowPlaces) -> None:
        """Check values, except those of tokens that are not evaluated."""
        if labels is not None and self.positions is not None:
            kept = labels != IGNORED
            values, places = values[kept], places.among(kept)
        check_values(values, self.kind, f"--logits {self._name}", places)

    def _labels(
        self, part: PredictionPart, taken: tuple[Tensor, ...] | None, count: int, row: int
    ) -> tuple[Tensor, Tensor | None]:
        """Return the labels of rows, and soft labels if they are, from what was read of `part.labels`."""
        if taken is None or len(taken[0]) != count:
            raise self._unequal(part)
        places = RowPlaces(part.file.path, row, self.positions)
        first, last = (wanted.columns[0] for wanted in (part.labels[0], part.labels[-1]))
        if self.positions is None and taken[0].ndim == 2:
            soft = read_soft_labels(taken[0], places.of, f"{ARGUMENT}, '{first}'")
            return soft.max(1).indices, soft
        if self.positions is None:
            return checked_labels(taken[0], self.num_classes, first, places), None
        labels, *masks = taken
        return token_labels(labels, masks[0] if masks else None, self.num_classes, (first, last), places), None

    def _unequal(self, part: PredictionPart) -> InputError:
        return unequal(self.counted_rows(), str(part.counted()), part.file, part.labels[0].columns[0])


def open_predictions(
    paths: Sequence[Path],
    *,
    logits: str | None = None,
    probs: str | None = None,
    labels: str | None = _LABELS,
    labels_from: tuple[Path, str] | None = None,
    num_classes: int | None = None,
    sequences: SequenceNames | None = None,
) -> PredictionFiles:
    """Open files of logits or probabilities, and of labels if there are any: one file, or shards in order.

    An .npz or .safetensors file holds arrays: (N, K) values, and (N,) labels or (N, K) soft labels. An .npy file holds
    one, named as the file, ``logits.npy``; its labels are in a file of their own. Nothing is unpickled. A .parquet or
    .csv file holds columns: the labels, and the values as one column of lists (JSON lists in CSV), or as K columns
    ``probs_0``, ``probs_1``, ... (also ``probs.0``), or as ``probs_cat``, ``probs_dog``, ... in the order of the
    classes. Columns whose names are those of the classes alone are named together, ``probs="cat,dog"``. In these cases
    a column of labels may hold class names too. Soft labels (votes, or probabilities that sum to 1) are written like
    the values, for example as ``votes_cat``, ``votes_dog`` with labels="votes". One column of values holds the
    probability, or the log-odds, of class 1 of two. Files of arrays may hold class names: an array of texts
    "class_names" in .npz, a JSON list "class_names" in the metadata of .safetensors. Whether the values are logits or
    probabilities follows from their name, never from the numbers. .tsv and .jsonl files are read as .csv files, and all
    three may be compressed (.gz). A .pt file holds a dictionary of tensors, or one tensor named as the file; nothing
    else is loaded.

    This function checks headers, and the first row of .parquet and .csv files. All rows are checked when they are read.

    Args:
        paths: .npz, .npy, .safetensors, .parquet or .csv files, in the order of their rows.
        logits: The name of the logits. Without this and `probs`, the array named "logits" or "probs" is read.
        probs: The name of the probabilities.
        labels: The name of the labels. "labels" may be absent, another name may not. None: no labels are read.
        labels_from: A separate file for the labels of all rows, and the name of the array or column in it; `labels` is
            then ignored.
        num_classes: K, if it is known.
        sequences: Allows values of sequences. Tokens are labelled -100, or masked, to leave them out.

    Raises:
        InputError: a file that is missing, damaged or of another type; a missing array; logits beside probabilities
            with neither named; a K that differs from `num_classes` or between files; classes in another order; fewer or
            more labels than rows. Errors name the file and the row, counted from 0 in each file.
    """
    if not paths:
        raise fail(ARGUMENT, "at least one file", "none", "name the files of the predictions")
    files = [open_arrays(Path(path)) for path in paths]
    kind, name = chosen(files[0], logits, probs)
    if labels_from is not None or (labels == _LABELS and not any(_LABELS in file.names for file in files)):
        labels = None
    class_names = files[0].class_names(name)
    found = [values_of(file, kind, name, sequences=sequences is not None) for file in files]
    width = found[0].width if num_classes is None else num_classes
    if class_names is not None and len(class_names) != width:
        required, got = f"{width} class names, one for each value of a row", f"{len(class_names)} in {files[0].path}"
        raise fail(ARGUMENT, required, got, "write as many names as classes, or leave them out")
    positions = positions_of(files, found)
    mask = None
    if sequences is not None and labels_from is None:
        mask = mask_of(files, sequences, positions)
    parts: list[PredictionPart] = []
    for file, (values, count, own_width, _) in zip(files, found, strict=True):
        if own_width != width:
            whose = "the number of classes" if num_classes is not None else f"as in {files[0].path}"
            required = f"{width} values in every row, {whose}"
            raise fail(ARGUMENT, required, f"{own_width} in {file.path}", "give the same classes everywhere")
        if file.class_names(name) != class_names:
            columns = file.columns(name)
            shown = columns if len(columns) > 1 else file.class_names(name) or ("no class names",)
            got = f"{', '.join(shown)} in {file.path}"
            raise fail(ARGUMENT, f"the classes in the order of {files[0].path}", got, "write them in one order")
        names = () if labels is None else (labels,) if mask is None else (labels, mask)
        beside = tuple(
            labels_of(file, one, class_names, count, positions, width if one == labels else None)[0] for one in names
        )
        parts.append(PredictionPart(file, (values, *beside), count, beside))
    counts = [part.num_rows for part in parts if part.num_rows is not None]
    num_rows = sum(counts) if len(counts) == len(parts) else None
    apart = None
    if labels_from is not None:
        apart = _labels_apart(labels_from, class_names, num_rows, (positions, width), sequences)
        if len(apart.labels) == 1 and sequences is not None and mask_of(files, sequences, positions) is not None:
            got = f"a mask in {files[0].path}, and labels in {labels_from[0]}"
            raise fail(ARGUMENT, "the mask in the file of the labels", got, "write both into one file")
    return PredictionFiles(
        paths=tuple(file.path for file in files),
        kind=kind,
        num_classes=width,
        num_rows=num_rows,
        class_names=class_names,
        has_labels=labels is not None or apart is not None,
        positions=positions,
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
    """Read and check all rows. Arguments and errors are those of `open_predictions` and its chunks.

    Values above 1 GiB are memory-mapped: from the file itself if it allows that, else from a temporary file. Labels are
    held in memory.

    Raises:
        InputError: also for more than 20 million rows, and for values that do not fit into the temporary folder.
    """
    files = open_predictions(paths, logits=logits, probs=probs, labels=labels, num_classes=num_classes)
    source = f"'{files.paths[0]}'{'' if len(files.paths) == 1 else ' and the other files'}"
    check_rows(ARGUMENT, files.num_rows or 0, source)
    mapped = _mapped(files)
    values = RowBuffer()
    observed: list[Tensor] = []
    soft: list[Tensor] = []
    for chunk in files.chunks():
        check_rows(ARGUMENT, chunk.first_row + len(chunk), source)
        if mapped is None:
            values.add(chunk.values)
        if chunk.labels is not None:
            observed.append(chunk.labels)
        if chunk.soft is not None:
            soft.append(chunk.soft)
    labelled = torch.cat(observed) if files.has_labels else None
    whole, shares = values.whole() if mapped is None else mapped, torch.cat(soft) if soft else None
    return Predictions(whole, files.kind, labelled, files.class_names, soft=shares)


def _mapped(files: PredictionFiles) -> Tensor | None:
    """Return all values memory-mapped, if they are in one file that allows it."""
    first, *others = files._parts
    whole = None if others else first.file.mapped(first.wanted[0])
    return None if whole is None else two_columns(files.kind, floating(whole))


def _labels_apart(
    place: tuple[Path, str],
    class_names: tuple[str, ...] | None,
    num_rows: int | None,
    shape: tuple[int | None, int],
    sequences: SequenceNames | None,
) -> PredictionPart:
    """Return the labels in a file of their own, of values whose number of positions and of classes is `shape`."""
    file, positions = open_arrays(Path(place[0])), shape[0]
    mask = None if sequences is None else mask_of([file], sequences, positions)
    wanted, count = labels_of(file, place[1], class_names, num_rows, positions, shape[1])
    masks = () if mask is None else (labels_of(file, mask, None, num_rows, positions)[0],)
    return PredictionPart(file, (wanted, *masks), count, (wanted, *masks))
