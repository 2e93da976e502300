"""Predictions that were made elsewhere, read from files and checked row by row."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from softtargets._checks import first_bad
from softtargets._errors import InputError, fail, nearest
from softtargets.data._arrays import ARGUMENT, ArrayFile, joined, open_arrays, reading
from softtargets.data._files import suggestion

Kind = Literal["logits", "probs"]

_KINDS: tuple[Kind, Kind] = ("logits", "probs")
_LABELS = "labels"
# How far a row of probabilities may be from a sum of 1; coarser types are allowed their own rounding.
_TOLERANCE = 1e-3
# A sum that no rounding explains.
_FAR = 0.1
_CHUNK_NUMBERS = 2**22


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model said of every row.

    Attributes:
        values: (N, K) floating point, as stored; of one .npz (not compressed) or .safetensors file it is mapped, so
            that only the rows looked at are in memory.
        kind: What the values are.
        labels: (N,) int64 in [0, K) where the files hold labels, else None.
        class_names: What the columns call the classes, in the order of the values, where they carry names.
    """

    values: Tensor
    kind: Kind
    labels: Tensor | None
    class_names: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return self.values.shape[1]

    def probs(self, rows: slice | Tensor) -> Tensor:
        """Return the probabilities of some rows, (n, K) float32, whose rows are divided by their sum.

        Computed in float64: softmax of logits; probabilities may have been rounded when they were written.

        Example:
            >>> Predictions(torch.tensor([[0.0, 0.0], [9.0, 9.0]]), "logits", None).probs(slice(1, 2))
            tensor([[0.5000, 0.5000]])
        """
        values = self.values[rows].double()
        return (values.softmax(1) if self.kind == "logits" else values / values.sum(1, keepdim=True)).float()


def read_predictions(
    paths: Sequence[Path],
    *,
    logits: str | None = None,
    probs: str | None = None,
    labels: str | None = _LABELS,
    num_classes: int | None = None,
) -> Predictions:
    """Read logits or probabilities, and labels where there are any, from one file or from shards in order.

    An .npz or .safetensors file holds arrays: (N, K) values and (N,) labels; nothing in it is unpickled. A .parquet
    or .csv file holds columns: the labels, and the values as one column of lists (in CSV a JSON list) or as K columns
    ``probs_0``, ``probs_1``, ... (also ``probs.0``), or ``probs_cat``, ``probs_dog``, ... in the file's order of
    classes. What the values are is said by their name and never concluded from the numbers.

    Args:
        paths: .npz, .safetensors, .parquet or .csv files; their rows follow one another.
        logits: The name of logits; with neither this nor `probs`, what is named "logits" or "probs" is read.
        probs: The name of probabilities.
        labels: The name of the labels. "labels" may be absent, another name may not; None reads no labels.
        num_classes: K, where it is known.

    Raises:
        InputError: a file that is missing, damaged or of another type; no such array, or logits beside probabilities
            and neither named; K that differs from `num_classes` or between files; fewer or more labels than rows; a
            value that is no finite number; a row of probabilities with a negative one, or whose sum is further from 1
            than 1e-3 (or than the precision of its type); a label that is no class index. Files are named with their
            row, counted from 0.
    """
    if not paths:
        raise fail(ARGUMENT, "at least one file", "none", "name the files of the predictions")
    files = [_opened(Path(path)) for path in paths]
    kind, name = _chosen(files[0], logits, probs)
    with_labels = labels is not None and (labels != _LABELS or any(_LABELS in file.names for file in files))
    blocks: list[Tensor] = []
    observed: list[Tensor] = []
    for file in files:
        values = _read_values(file, kind, name)
        width = num_classes if num_classes is not None else (blocks or [values])[0].shape[1]
        if values.shape[1] != width:
            whose = "the number of classes" if num_classes is not None else f"as in {files[0].path.name}"
            required = f"{width} values in every row, {whose}"
            raise fail(ARGUMENT, required, f"{values.shape[1]} in {file.path.name}", "give the same classes everywhere")
        if file.class_names(name) != files[0].class_names(name):
            got = f"{', '.join(file.columns(name))} in {file.path.name}"
            raise fail(ARGUMENT, f"the classes in the order of {files[0].path.name}", got, "write them in one order")
        _check_values(values, kind, file, name)
        if with_labels:
            observed.append(_read_labels(file, str(labels), values))
        blocks.append(values)
    return Predictions(joined(blocks), kind, joined(observed) if with_labels else None, files[0].class_names(name))


def _opened(path: Path) -> ArrayFile:
    path = path.expanduser()
    if path.is_file():
        return open_arrays(path)
    close = suggestion(str(path.absolute()))
    remedy = f"did you mean '{close}'?" if close and not path.exists() else "give the paths of files"
    raise fail(ARGUMENT, "an existing file", f"'{path}'{', a folder' if path.exists() else ''}", remedy)


def _chosen(file: ArrayFile, logits: str | None, probs: str | None) -> tuple[Kind, str]:
    """Return what the values are and what they are called."""
    if logits is not None and probs is not None:
        raise fail(ARGUMENT, "either logits or probabilities", f"both '{logits}' and '{probs}'", "name one of them")
    if logits is not None:
        return "logits", logits
    if probs is not None:
        return "probs", probs
    present: list[Kind] = [kind for kind in _KINDS if file.columns(kind)]
    if len(present) == 1:
        return present[0], present[0]
    if present:
        required = "either logits or probs, or one of them named"
        raise fail(ARGUMENT, required, f"both in {file.path.name}", "pass --logits logits or --probs probs")
    remedy = "pass --logits NAME or --probs NAME to say what it is called"
    raise fail(ARGUMENT, "an array or columns named logits or probs", _listed(file), remedy)


def _listed(file: ArrayFile) -> str:
    shown = [*file.names[:20], "..."] if len(file.names) > 20 else file.names
    return f"{', '.join(shown) or 'nothing'} in {file.path.name}"


def _missing(file: ArrayFile, name: str) -> InputError:
    close = nearest(name, file.names)
    remedy = f"did you mean '{close}'?" if close else "use one of these names"
    return fail(ARGUMENT, f"'{name}' in every file", _listed(file), remedy)


def _read_values(file: ArrayFile, kind: Kind, name: str) -> Tensor:
    columns = file.columns(name)
    if not columns:
        raise _missing(file, name)
    with reading(file.path):
        values = file.read(columns)
    if values.ndim and len(values) == 0:
        raise fail(ARGUMENT, "at least one row in every file", f"none in {file.path.name}", "take the file away")
    if values.ndim != 2 or values.shape[1] < 2:
        required = f"{kind} of shape (N, K) with K of at least 2"
        got = f"shape {tuple(values.shape)} as '{name}' in {file.path.name}"
        raise fail(ARGUMENT, required, got, "write one value for each class, also where there are two")
    # Counts as probabilities (0 and 1) or as logits are numbers too.
    return values if values.is_floating_point() else values.double()


def _chunks(values: Tensor) -> Iterator[tuple[int, Tensor]]:
    rows = max(1, _CHUNK_NUMBERS // values.shape[1])
    for start in range(0, len(values), rows):
        chunk = values[start : start + rows]
        yield start, chunk if chunk.dtype == torch.float64 else chunk.float()


def _check_values(values: Tensor, kind: Kind, file: ArrayFile, name: str) -> None:
    """Look at every value, a chunk of rows at a time."""
    tolerance = max(_TOLERANCE, torch.finfo(values.dtype).eps)
    for start, chunk in _chunks(values):
        index = first_bad(~chunk.isfinite())
        if index is not None:
            got = f"{chunk[index].item():g} in {file.path.name}, row {start + index[0]}, class {index[1]}"
            raise fail(ARGUMENT, f"finite {kind}", got, "mend or drop that row")
        if kind == "logits":
            continue
        sums, lowest = chunk.sum(1, dtype=torch.float64), chunk.amin(1)
        bad = first_bad(((sums - 1).abs() > tolerance) | (lowest < 0))
        if bad is not None:
            total, least = float(sums[bad]), float(lowest[bad])
            # a little below 0 is rounding
            unlike = least < -tolerance or abs(total - 1) > _FAR
            negative = f" and {least:g}" if least < 0 else ""
            raise fail(
                ARGUMENT,
                f"probs of at least 0 whose rows sum to 1, to within {tolerance:.2g}",
                f"a sum of {total:.6g}{negative} in {file.path.name}, row {start + bad[0]}",
                f"these look like logits: pass --logits {name}" if unlike else "divide each row by its sum",
            )


def _read_labels(file: ArrayFile, name: str, values: Tensor) -> Tensor:
    if name not in file.names:
        raise _missing(file, name)
    with reading(file.path):
        labels = file.read((name,))
    if labels.shape != (len(values),):
        required = f"{len(values)} labels, one for each row of predictions"
        got = f"shape {tuple(labels.shape)} as '{name}' in {file.path.name}"
        raise fail(ARGUMENT, required, got, "write one class index for each row")
    # Whole numbers, also where they are written as 3.0; NaN is in no range.
    whole = labels.long()
    fits = (whole >= 0) & (whole < values.shape[1]) & ((labels == whole) if labels.is_floating_point() else True)
    index = first_bad(~fits)
    if index is not None:
        got = f"{labels[index].item():g} as '{name}' in {file.path.name}, row {index[0]}"
        required = f"labels that are whole numbers of at least 0 and below {values.shape[1]}, the number of classes"
        raise fail(ARGUMENT, required, got, "mend or drop that row")
    return whole
