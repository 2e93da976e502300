"""Votes as the labels of a data set: numbers for each class, or the labels of several annotators."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from softtargets._checks import first_bad
from softtargets._errors import fail
from softtargets.data._columns import Columns, vote_columns
from softtargets.data._files import Files
from softtargets.data._labels import Labels, as_indices, files_of, read_optional_cells
from softtargets.data._tables import Part, no_rows, read_parts
from softtargets.data.arrays.file import column_classes
from softtargets.data.arrays.tables import read_cells_as_numbers
from softtargets.data.side_files import naming
from softtargets.data.spec import DataSpec
from softtargets.metrics.soft_labels import read_soft_labels

# Whole numbers of votes are exact in it up to 2 ** 24.
VOTED = torch.float32
_VOTES, _ANNOTATORS = "votes", "annotators"
_FIX = "fix or drop that row"
# An annotator's number for a row that was not labelled, beside an empty cell.
_NONE = -1


def read_voted_labels(parts: Sequence[Part], spec: DataSpec) -> Labels:
    """Read the votes of all parts, one part after the other. The label of a row is its most frequent class.

    Of several classes with the most votes, the label is the first.

    Raises:
        InputError: a cell that is not a number or a class; a row that is neither votes nor probabilities that sum to 1,
            or has no vote, with its file and row; fewer than 2 classes.
    """
    if not any(len(part.table) for part in parts):
        raise no_rows(parts[0].file)
    read, argument = (_count_labels, _ANNOTATORS) if spec.annotators else (_numbers_of_classes, _VOTES)
    votes, names = read(parts, spec)
    if len(names) < 2:
        raise fail(argument, "at least 2 classes", f"{len(names)} in {files_of(parts)}", "add a column of numbers")
    ends = torch.tensor([len(part.table) for part in parts]).cumsum(0)

    def place(row: int) -> str:
        index = int(torch.searchsorted(ends, row, right=True))
        return parts[index].place(row - (int(ends[index - 1]) if index else 0))

    check_votes(votes, place, argument, _FIX)
    return Labels(votes.argmax(1), None, names, votes.to(VOTED))


def with_vote_columns(parts: Sequence[Part], table: Files, spec: DataSpec) -> list[Part]:
    """Return parts of images with the columns of votes of the table that names them, which has the same rows.

    Raises:
        InputError: a column that does not exist.
    """

    def chosen(features: Mapping[str, Any], file: str, _: Columns | None) -> Columns:
        return Columns("", None, (), votes=vote_columns(features, spec, file))

    read, made = read_parts(table, chosen), []
    for part in parts:
        rows = pa.concat_tables([one.table for one in read if one.split == part.split])
        columns = replace(part.columns, label="", votes=read[0].columns.votes)
        made.append(replace(part, table=rows, columns=columns))
    return made


def check_votes(votes: Tensor, place: Callable[[int], str], argument: str, remedy: str) -> None:
    """Require votes, or probabilities that sum to 1, in every row.

    Args:
        votes: (N, K) float64.
        place: names a row for the error.
        argument: the field, for the error.
        remedy: how to fix a row.

    Raises:
        InputError: naming the first bad row.
    """
    missing = first_bad(votes.isnan())
    if missing is not None:
        got = f"nothing at {place(missing[0])}, class {missing[1]}"
        raise fail(argument, "a number for each class in every row", got, remedy)
    read_soft_labels(votes, place, argument, remedy)


def _numbers_of_classes(parts: Sequence[Part], spec: DataSpec) -> tuple[Tensor, tuple[str, ...]]:
    """Return a number for each class of every row, (N, K) float64, NaN where there is none, and the class names."""
    assert spec.votes is not None
    columns = parts[0].columns.votes
    blocks = [_block(part, columns) for part in parts]
    widths = {block.shape[1]: part.file for part, block in zip(parts, blocks, strict=True)}
    if len(widths) > 1:
        (first, file), (other, another) = list(widths.items())[:2]
        got = f"{first} in {file} and {other} in {another}"
        raise fail(_VOTES, "the same number of classes in every file", got, "write a number for each class")
    votes = torch.cat(blocks)
    names = column_classes(columns, spec.votes) or tuple(map(str, range(votes.shape[1])))
    if spec.num_classes not in (None, len(names)):
        required = f"{len(names)}, the number of votes of a row in {files_of(parts)}"
        raise fail("num_classes", required, spec.num_classes, "omit it or set it to that number")
    return votes, names


def _block(part: Part, columns: Sequence[str]) -> Tensor:
    found = []
    for name in columns:
        cells = part.table[name].combine_chunks()
        if pa.types.is_string(cells.type) or pa.types.is_large_string(cells.type):
            empty = pc.call_function("equal", [pc.call_function("utf8_trim_whitespace", [cells]), pa.scalar("")])
            cells = pc.call_function("if_else", [empty, pa.scalar(None, cells.type), cells])
        with naming(_VOTES, Path(part.file)):
            numbers = read_cells_as_numbers(cells, Path(part.file), part.first_row, name)
        found.append(numbers.double().reshape(len(cells), -1))
        if len(columns) > 1 and found[-1].shape[1] != 1:
            required = "one number in each cell of several columns"
            raise fail(_VOTES, required, f"lists in '{name}' of {part.file}", "name the column of lists alone")
    return torch.cat(found, 1)


@dataclass(frozen=True)
class _AnnotatorPart(Part):
    """The labels of one annotator in a part."""

    annotator: str = ""

    def place(self, row: int) -> str:
        return f"{super().place(row)}, column '{self.annotator}'"


def _count_labels(parts: Sequence[Part], spec: DataSpec) -> tuple[Tensor, tuple[str, ...]]:
    """Return the number of annotators' labels of each class, (N, K) float64, and the class names."""
    columns = parts[0].columns.votes
    kept = {field.name for field in fields(Part)}
    named = [
        _AnnotatorPart(**{key: value for key, value in vars(part).items() if key in kept}, annotator=column)
        for part in parts
        for column in columns
    ]
    cells = [
        [None if cell == _NONE else cell for cell in read_optional_cells(part, part.annotator, _ANNOTATORS)]
        for part in named
    ]
    indices, names = as_indices(cells, named, None, spec, _ANNOTATORS)
    blocks = []
    for start in range(0, len(indices), len(columns)):
        labels = torch.tensor([[-1 if i is None else i for i in row] for row in indices[start : start + len(columns)]])
        counts = torch.zeros(labels.shape[1], len(names), dtype=torch.float64)
        blocks.append(counts.scatter_add_(1, labels.T.clamp(min=0), (labels.T >= 0).double()))
    return torch.cat(blocks), names
