"""Numbers of a figure as a plain table: each with its text, and nothing beside it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PlainRow:
    """A row: what it is called, and its numbers as text and in full; None where there is none."""

    label: str
    cells: tuple[tuple[str, float | None], ...]


@dataclass(frozen=True)
class PlainTable:
    """What the numbers are, the names of the columns, that of the labels first, and rows in groups by title.

    `open` says whether it is shown before it is asked for.
    """

    caption: str
    columns: tuple[str, ...]
    groups: tuple[tuple[str, tuple[PlainRow, ...]], ...]
    open: bool = False
