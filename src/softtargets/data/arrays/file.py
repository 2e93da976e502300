"""Named arrays of numbers in a file, read a block of rows at a time: what all types of files have in common."""

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


@dataclass(frozen=True)
class Wanted:
    """An array that is asked for.

    Attributes:
        columns: Its name, or the columns that make it up side by side.
        classes: Names that its cells may carry, each of which stands for its place among them.
    """

    columns: tuple[str, ...]
    classes: tuple[str, ...] | None = None


class ArrayFile(ABC):
    """A file of named arrays, of which some rows are read when they are asked for.

    Attributes:
        path: Where it lies.
        names: The arrays or columns there are.
        is_table: Whether what it holds are columns, of which several can make one array.
    """

    is_table = False

    def __init__(self, path: Path, names: Iterable[str]) -> None:
        self.path = path
        self.names = tuple(names)

    @abstractmethod
    def shape(self, wanted: Wanted) -> tuple[int | None, ...]:
        """Return the shape of an array; None for the number of rows where only reading tells it.

        Raises:
            InputError: for what holds no numbers, and a file that cannot be read.
        """

    @abstractmethod
    def blocks(self, wanted: Sequence[Wanted], rows: int) -> Iterator[tuple[Tensor, ...]]:
        """Yield the same rows of several arrays as long as each other, in order, their types as stored.

        Args:
            wanted: The arrays.
            rows: About how many rows are wanted at a time.

        Raises:
            InputError: a file that cannot be read, a cell that is no number.
        """

    def mapped(self, wanted: Wanted) -> Tensor | None:
        """Return the whole array so that only what is looked at is in memory, or None where that cannot be done."""
        return None

    def note(self, wanted: Wanted) -> str | None:
        """Return what a reader must know of how this array is read, or None."""
        return None

    def columns(self, name: str) -> tuple[str, ...]:
        """Return the column of this name, else those named ``name_...`` or ``name....``; none where there are none.

        Numbered columns come in the order of their numbers, which count from 0 without gaps; named ones in the file's.
        """
        if name in self.names or not self.is_table:
            return (name,) if name in self.names else ()
        found = [column for column in self.names if column.startswith((f"{name}_", f"{name}."))]
        numbers = {self._suffix(name, column): column for column in found}
        if not any(suffix.isdecimal() for suffix in numbers):
            return tuple(found)
        expected = [str(number) for number in range(len(found))]
        if set(numbers) != set(expected):
            required = f"columns {name}_0 to {name}_{len(found) - 1}, or one for each class by its name"
            raise fail(ARGUMENT, required, f"{', '.join(found)} in {self.path}", "rename the columns")
        return tuple(numbers[number] for number in expected)

    def class_names(self, name: str) -> tuple[str, ...] | None:
        """Return the names of classes that the columns of `name` carry, or None where they are numbered."""
        columns = self.columns(name)
        suffixes = tuple(self._suffix(name, column) for column in columns)
        return None if columns == (name,) or "0" in suffixes else suffixes

    @staticmethod
    def _suffix(name: str, column: str) -> str:
        return column[len(name) + 1 :]


class BlockReader:
    """Rows that come in blocks of any length, taken as many at a time as are wanted.

    Example:
        >>> rows = BlockReader(iter([(torch.arange(3),), (torch.arange(3, 5),)]))
        >>> rows.take(2), rows.take(2), rows.take(2), rows.take(2)
        ((tensor([0, 1]),), (tensor([2, 3]),), (tensor([4]),), None)
    """

    def __init__(self, blocks: Iterator[tuple[Tensor, ...]]) -> None:
        self._blocks = blocks
        self._held: list[tuple[Tensor, ...]] = []

    def take(self, rows: int) -> tuple[Tensor, ...] | None:
        """Return the next rows, fewer at the end, and then None; no block is asked for before it is needed."""
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
    """Turn what a reader raises for a file that is damaged or of another type into one error."""
    try:
        yield
    except InputError:
        raise
    # Readers raise errors of many types for damaged files.
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        remedy = "check that it is whole and of the type its name says"
        raise fail(ARGUMENT, "a file that can be read", f"{path}: {reason}", remedy) from error


def joined(blocks: list[Tensor]) -> Tensor:
    """Join blocks of rows, emptying the list on the way, so that no more than one block is held twice."""
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
