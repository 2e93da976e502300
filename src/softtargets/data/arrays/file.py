"""The base of files of named arrays, which are read in blocks of rows."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from softtargets._errors import InputError, fail

ARGUMENT = "predictions"
CHUNK_BYTES = 2**22
# what is wrong with an array of lists or other objects
OBJECTS = (
    "Object arrays cannot be loaded when allow_pickle=False; if it holds sequences of several lengths, pad them to one "
    "length and label the padding -100"
)


@dataclass(frozen=True)
class Wanted:
    """An array to read.

    Attributes:
        columns: The name of the array, or the names of the columns that form it side by side.
        classes: Class names that cells may hold; each stands for its index. None: cells are numbers.
        axes: The number of leading axes that are read as rows, 1 or 2. With 2, an array (N, L, ...) has N * L rows.
    """

    columns: tuple[str, ...]
    classes: tuple[str, ...] | None = None
    axes: int = 1


class ArrayFile(ABC):
    """A file of named arrays that is read in blocks of rows.

    Attributes:
        path: The path of the file.
        names: The names of its arrays or columns.
        is_table: Whether the file holds columns, several of which can form one array.
    """

    is_table = False

    def __init__(self, path: Path, names: Iterable[str]) -> None:
        self.path = path
        self.names = tuple(names)

    @abstractmethod
    def shape(self, wanted: Wanted) -> tuple[int | None, ...]:
        """Return the shape of an array; the number of rows is None if it is unknown before the file is read.

        Raises:
            InputError: if the array does not hold numbers or the file cannot be read.
        """

    @abstractmethod
    def blocks(self, wanted: Sequence[Wanted], rows: int) -> Iterator[tuple[Tensor, ...]]:
        """Yield the same rows of several arrays of equal length, in order, in the stored data types.

        Args:
            wanted: The arrays, all with the same `axes`. Those of a table have one.
            rows: The approximate number of rows in a block.

        Raises:
            InputError: if the file cannot be read or a cell is not a number.
        """

    def mapped(self, wanted: Wanted) -> Tensor | None:
        """Return the whole array memory-mapped, or None if the file does not allow it."""
        return None

    def note(self, wanted: Wanted) -> str | None:
        """Return a remark for the user on how this array is read, or None."""
        return None

    def columns(self, name: str) -> tuple[str, ...]:
        """Return the array of this name, or in a table the columns that it means; see :func:`named_columns`."""
        if self.is_table:
            return named_columns(self.names, name, str(self.path))
        return (name,) if name in self.names else ()

    def class_names(self, name: str) -> tuple[str, ...] | None:
        """Return the class names that the file has for `name`, in its order, or None; see :func:`column_classes`."""
        return column_classes(self.columns(name), name)


def named_columns(names: Sequence[str], name: str, file: str, argument: str = ARGUMENT) -> tuple[str, ...]:
    """Return the column of this name, else the columns named ``name_...`` or ``name....``, which may be none.

    Names of columns separated by commas, "cat,dog", are these columns, whose names are those of the classes. Numbered
    columns are ordered by their numbers, which must run from 0 without gaps; others keep the file's order.

    Args:
        names: The columns of a file.
        name: What the user wrote.
        file: The file, for errors.
        argument: What the error of numbers with gaps names.
    """
    if name in names:
        return (name,)
    listed = _listed(name)
    if len(listed) > 1:
        return listed if set(listed) <= set(names) else ()
    found = [column for column in names if column.startswith((f"{name}_", f"{name}."))]
    numbers = {_suffix(name, column): column for column in found}
    if not any(suffix.isdecimal() for suffix in numbers):
        return tuple(found)
    expected = [str(number) for number in range(len(found))]
    if set(numbers) != set(expected):
        required = f"columns {name}_0 to {name}_{len(found) - 1}, or one for each class by its name"
        raise fail(argument, required, f"{', '.join(found)} in {file}", "rename the columns")
    return tuple(numbers[number] for number in expected)


def column_classes(columns: tuple[str, ...], name: str) -> tuple[str, ...] | None:
    """Return the class names in the names of columns that `name` means, or None if the columns are numbered or one."""
    if len(columns) > 1 and columns == _listed(name):
        return columns
    suffixes = tuple(_suffix(name, column) for column in columns)
    return None if columns == (name,) or "0" in suffixes else suffixes


def _suffix(name: str, column: str) -> str:
    return column[len(name) + 1 :]


def _listed(name: str) -> tuple[str, ...]:
    """Return the names in a list that is separated by commas."""
    return tuple(part.strip() for part in name.split(","))


def spans(shape: Sequence[int], rows: int) -> Iterator[tuple[slice, ...]]:
    """Yield the indices of consecutive blocks of about `rows` rows, for an array whose leading axes have this shape.

    Example:
        >>> list(spans((3,), 2))
        [(slice(0, 2, None),), (slice(2, 4, None),)]
        >>> list(spans((1, 5), 3))
        [(slice(0, 1, None), slice(0, 3, None)), (slice(0, 1, None), slice(3, 6, None))]
    """
    length = shape[1] if len(shape) > 1 else 1
    if rows >= length:
        step = rows // length
        yield from ((slice(start, start + step),) for start in range(0, shape[0], step))
        return
    for place in range(shape[0]):
        for start in range(0, length, rows):
            yield slice(place, place + 1), slice(start, start + rows)


class BlockReader:
    """Cuts a stream of blocks of any length into blocks of the requested length.

    Example:
        >>> rows = BlockReader(iter([(torch.arange(3),), (torch.arange(3, 5),)]))
        >>> rows.take(2), rows.take(2), rows.take(2), rows.take(2)
        ((tensor([0, 1]),), (tensor([2, 3]),), (tensor([4]),), None)
    """

    def __init__(self, blocks: Iterator[tuple[Tensor, ...]]) -> None:
        self._blocks = blocks
        self._held: list[tuple[Tensor, ...]] = []

    def take(self, rows: int) -> tuple[Tensor, ...] | None:
        """Return the next rows, fewer at the end, then None. Blocks are read only when they are needed."""
        held = sum(len(block[0]) for block in self._held)
        while held < rows and (block := next(self._blocks, None)) is not None:
            self._held.append(block)
            held += len(block[0])
        if not held:
            return None
        whole = [joined(list(parts)) for parts in zip(*self._held, strict=True)]
        self._held = [tuple(part[rows:] for part in whole)] if held > rows else []
        return tuple(part[:rows] for part in whole)


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what a reader raises for a damaged file, or one of another type, into an InputError."""
    try:
        yield
    except InputError:
        raise
    # readers raise errors of many types for damaged files
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        remedy = "check that it is complete and of the type that its name says"
        raise fail(ARGUMENT, "a file that can be read", f"{path}: {reason}", remedy) from error


def joined(blocks: list[Tensor]) -> Tensor:
    """Join blocks of rows. The list is emptied on the way, so that at most one block is held twice."""
    if len(blocks) == 1:
        return blocks.pop()
    dtype = blocks[0].dtype
    for block in blocks:
        dtype = torch.promote_types(dtype, block.dtype)
    whole = torch.empty(sum(map(len, blocks)), *blocks[0].shape[1:], dtype=dtype)
    start = 0
    while blocks:
        block = blocks.pop(0)
        whole[start : start + len(block)] = block
        start += len(block)
    return whole
