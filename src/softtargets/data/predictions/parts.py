"""Finding the arrays of predictions and labels in a file, from its header or first row."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from softtargets._errors import InputError, fail, nearest
from softtargets.data.arrays.file import ARGUMENT, ArrayFile, BlockReader, Wanted
from softtargets.data.limits import MAX_CLASSES
from softtargets.metrics.arguments import Kind

_KINDS: tuple[Kind, Kind] = ("logits", "probs")
_COUNTED_AT_A_TIME = 65_536
_MASK = "mask"


@dataclass(frozen=True)
class PredictionPart:
    """Arrays of one file that are read together.

    Attributes:
        file: The file.
        wanted: The values, and the labels if they are in the same file; or labels alone.
        num_rows: The number of rows, or None if it is unknown before the file is read.
        labels: The labels among `wanted`, and then the mask of sequences if there is one; empty if there are none.
    """

    file: ArrayFile
    wanted: tuple[Wanted, ...]
    num_rows: int | None
    labels: tuple[Wanted, ...] = ()

    def rows(self, at_a_time: int) -> BlockReader:
        """Return a reader that starts at the first row."""
        return BlockReader(self.file.blocks(self.wanted, at_a_time))

    def counted(self) -> int:
        """Return the number of rows; a .csv file is read for it."""
        if self.num_rows is not None:
            return self.num_rows
        return sum(len(block[0]) for block in self.file.blocks(self.wanted, _COUNTED_AT_A_TIME))


@dataclass(frozen=True)
class SequenceNames:
    """Allows files of sequences: arrays of (N, L, K) values, with (N, L) labels and an (N, L) mask.

    Attributes:
        mask: The name of the mask, which is false or 0 for tokens that are not evaluated. It is in the files of the
            labels. None: "mask", which may be absent.
    """

    mask: str | None = None


class Values(NamedTuple):
    """The values of one file.

    Attributes:
        wanted: The array.
        num_rows: The number of rows, if it is known; of sequences, the number of tokens, N * L.
        width: The number of classes.
        positions: L of sequences, else None.
    """

    wanted: Wanted
    num_rows: int | None
    width: int
    positions: int | None = None


def chosen(file: ArrayFile, logits: str | None, probs: str | None) -> tuple[Kind, str]:
    """Return the kind of the values and their name.

    Raises:
        InputError: if both or neither of logits and probabilities are named or found.
    """
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
        raise fail(ARGUMENT, required, f"both in {file.path}", "pass --logits logits or --probs probs")
    remedy = "pass the name of the array as --logits NAME or --probs NAME"
    raise fail(ARGUMENT, "an array or columns named logits or probs", _listed(file), remedy)


def values_of(file: ArrayFile, kind: Kind, name: str, *, sequences: bool = False) -> Values:
    """Return the values of this name.

    Args:
        file: The file.
        kind: Whether they are logits or probabilities.
        name: Their name.
        sequences: Whether they may be values of sequences, (N, L, K).

    Raises:
        InputError: if there are none of this name, no rows, fewer than 2 classes, or too many classes.
    """
    columns = file.columns(name)
    if not columns:
        raise _missing(file, name)
    wanted = Wanted(columns)
    shape = file.shape(wanted)
    if shape[:1] == (0,):
        raise fail(ARGUMENT, "at least one row in every file", f"none in {file.path}", "remove the file")
    is_sequences = sequences and len(shape) == 3 and not file.is_table
    width = shape[-1] if len(shape) == 2 or is_sequences else None
    if shape and (len(shape) == 1 or (len(shape) == 2 and width == 1)):
        # one column of a binary problem
        return Values(wanted, shape[0], 2)
    if width is None or width < 2 or 0 in shape:
        required = f"{kind} of shape (N, K){' or (N, L, K)' if sequences else ''} with K of at least 2"
        got = f"shape {_shown(shape)} as '{name}' in {file.path}"
        raise fail(ARGUMENT, required, got, "write one value for each class")
    if width > MAX_CLASSES:
        got = f"{width:,} in each row of '{name}' in {file.path}"
        raise fail(ARGUMENT, f"at most {MAX_CLASSES:,} values in a row", got, "write one row for each example")
    if is_sequences:
        positions = shape[1] or 0
        return Values(Wanted(columns, axes=2), (shape[0] or 0) * positions, width, positions)
    return Values(wanted, shape[0], width)


def labels_of(
    file: ArrayFile,
    name: str,
    class_names: tuple[str, ...] | None,
    num_rows: int | None,
    positions: int | None = None,
    num_classes: int | None = None,
) -> tuple[Wanted, int | None]:
    """Return the labels of this name, or their mask, and their number if it is known.

    Soft labels are an array of shape (N, K), or columns, one for each class in the order of the values.

    Args:
        file: The file.
        name: Their name.
        class_names: The class names that cells may hold.
        num_rows: The number of rows of the values, if it is known; of sequences, N * L.
        positions: L of sequences, else None.
        num_classes: K if the labels may be soft, else None.

    Raises:
        InputError: if there are none of this name, or their shape is not (`num_rows`,), (`num_rows`, `num_classes`), or
            (N, `positions`).
    """
    columns = file.columns(name) if num_classes is not None and positions is None else (name,)
    if not columns or columns[0] not in file.names:
        raise _missing(file, name)
    if positions is not None:
        return _labels_of_tokens(file, name, num_rows, positions)
    wanted = Wanted(columns, class_names if len(columns) == 1 else None)
    shape = file.shape(wanted)
    fits = None in (shape[0], num_rows) or shape[0] == num_rows
    if len(shape) == 2 and shape[1] != 1 and num_classes is not None and fits:
        _check_votes(file, name, shape[1], class_names, num_classes)
        return wanted, shape[0]
    if len(shape) != 1 or not fits:
        raise unequal(num_rows, f"shape {_shown(shape)}", file, name)
    return wanted, shape[0]


def _check_votes(
    file: ArrayFile, name: str, width: int | None, class_names: tuple[str, ...] | None, num_classes: int
) -> None:
    """Require one vote for each class, in the order of the classes."""
    if width != num_classes:
        required = f"{num_classes} votes in every row, one for each class"
        raise fail(ARGUMENT, required, f"{width} as '{name}' in {file.path}", "write a number for each class")
    named = file.class_names(name)
    if class_names and named and named != class_names:
        required = f"votes in the order of the classes: {', '.join(class_names)}"
        raise fail(ARGUMENT, required, f"{', '.join(named)} in {file.path}", "write the columns in one order")


def positions_of(files: Sequence[ArrayFile], found: Sequence[Values]) -> int | None:
    """Return the number of tokens of a sequence, which all files must share; None if rows are single examples."""
    of_first = found[0].positions
    for file, values in zip(files, found, strict=True):
        if values.positions != of_first:
            required, got = (
                "one example in each row" if length is None else f"sequences of {length} tokens"
                for length in (of_first, values.positions)
            )
            remedy = "pad all sequences to one length and label the padding -100"
            raise fail(ARGUMENT, f"{required}, as in {files[0].path}", f"{got} in {file.path}", remedy)
    return of_first


def mask_of(files: Sequence[ArrayFile], names: SequenceNames, positions: int | None) -> str | None:
    """Return the name of the mask in these files, or None if there is none."""
    name = names.mask
    if positions is None:
        if name is None:
            return None
        got = f"the mask '{name}' for values of shape (N, K) in {files[0].path}"
        raise fail(ARGUMENT, "values of sequences, of shape (N, L, K)", got, "leave out these rows instead")
    return name or (_MASK if any(_MASK in file.names for file in files) else None)


def _labels_of_tokens(file: ArrayFile, name: str, num_rows: int | None, positions: int) -> tuple[Wanted, int | None]:
    shape = file.shape(Wanted((name,)))
    count = None if num_rows is None else num_rows // positions
    fits = len(shape) == 2 and shape[1] == positions and (count is None or shape[0] == count)
    if file.is_table or not fits or shape[0] is None:
        required = f"'{name}' of shape ({'N' if count is None else count}, {positions}), one entry for each token"
        got = f"{'columns' if file.is_table else f'shape {_shown(shape)}'} in {file.path}"
        remedy = f"write it as an array beside the (N, {positions}, K) values, in an .npz or .safetensors file"
        raise fail(ARGUMENT, required, got, remedy)
    return Wanted((name,), axes=2), shape[0] * positions


def unequal(num_rows: int | None, got: str, file: ArrayFile, name: str) -> InputError:
    """Build the error of a number of labels that differs from the number of rows."""
    required = f"{'N' if num_rows is None else num_rows} labels, one for each row of predictions"
    return fail(ARGUMENT, required, f"{got} as '{name}' in {file.path}", "write one class index for each row")


def _shown(shape: tuple[int | None, ...]) -> str:
    sizes = ["N" if size is None else str(size) for size in shape]
    return f"({sizes[0]},)" if len(sizes) == 1 else f"({', '.join(sizes)})"


def _listed(file: ArrayFile) -> str:
    shown = [*file.names[:20], "..."] if len(file.names) > 20 else file.names
    return f"{', '.join(shown) or 'nothing'} in {file.path}"


def _missing(file: ArrayFile, name: str) -> InputError:
    close = nearest(name, file.names)
    remedy = f"did you mean '{close}'?" if close else "use one of these names"
    return fail(ARGUMENT, f"'{name}' in every file", _listed(file), remedy)
