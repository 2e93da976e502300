"""Numbers of a figure as a plain table."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PlainRow:
    """A row: its label, and its numbers as text and as values (None if there is none)."""

    label: str
    cells: tuple[tuple[str, float | None], ...]


@dataclass(frozen=True)
class PlainTable:
    """A table: caption, names of the columns (that of the labels first), and groups of rows with titles.

    `open`: whether the table is initially expanded. `words`: whether the cells are texts, which are broken into lines.
    """

    caption: str
    columns: tuple[str, ...]
    groups: tuple[tuple[str, tuple[PlainRow, ...]], ...]
    open: bool = False
    words: bool = False
