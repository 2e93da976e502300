"""Files of labels that people checked: a CSV file with the columns row and label."""

import csv
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from softtargets._errors import InputError, fail


@dataclass(frozen=True, eq=False)
class CheckedLabels:
    """Right labels of some rows.

    Args:
        rows: (M,) int64, ascending.
        labels: (M,) int64.
    """

    rows: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.rows)

    def places(self, first_row: int, size: int) -> slice:
        """Return which of them are of the rows from `first_row` on."""
        ends = torch.searchsorted(self.rows, torch.tensor([first_row, first_row + size]))
        return slice(int(ends[0]), int(ends[1]))

    def correct(self, labels: Tensor, first_row: int = 0) -> Tensor:
        """Return (n,) labels of the rows from `first_row` on, with these labels in place of theirs."""
        part = self.places(first_row, len(labels))
        corrected = labels.clone()
        corrected[self.rows[part] - first_row] = self.labels[part]
        return corrected

    def require_below(self, argument: str, size: int) -> None:
        """Require that all rows are below `size`, the number of labels.

        Raises:
            InputError: naming the last row.
        """
        last = int(self.rows[-1]) if len(self) else -1
        if last >= size:
            raise fail(argument, f"rows below {size:,}, the number of labels", last, "count the rows from 0")


def read_checked(argument: str, path: Path, class_names: tuple[str, ...], *, least: int = 1) -> CheckedLabels:
    """Read a CSV file with the columns "row", counted from 0, and "label", the name or the index of a class.

    Args:
        argument: for errors.
        path: of the file.
        class_names: of the audited labels.
        least: fewest rows.

    Raises:
        InputError: a file without these columns, a row that occurs twice, an unknown class, or too few rows.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise fail(argument, "a CSV file", f"'{path}' ({error})", "give a file with columns row and label") from error
    if not lines or not {"row", "label"} <= lines[0].keys():
        got = ", ".join(lines[0]) if lines else "no rows"
        raise fail(argument, "the columns row and label", got, "write one line for each label that was checked")
    places = {name: place for place, name in enumerate(class_names)}
    found: dict[int, int] = {}
    for number, line in enumerate(lines, start=2):
        row, name = (line["row"] or "").strip(), line["label"] or ""
        known = class_of(name, places)
        if known is None:
            raise _bad(argument, number, "a class", name, "write its name or its index")
        if not _is_whole(row) or int(row) in found:
            required = "a row, counted from 0, that occurs once"
            raise _bad(argument, number, required, row, "copy it from the audited data")
        found[int(row)] = known
    if len(found) < least:
        raise fail(argument, f"at least {least} rows", len(found), "check more labels; 200 are a good number")
    rows = torch.tensor(sorted(found))
    return CheckedLabels(rows, torch.tensor([found[row] for row in rows.tolist()]))


def class_of(name: str, places: dict[str, int]) -> int | None:
    """Return the index of a class from its name or its index as text; None for neither.

    Args:
        name: what was written.
        places: the index of each name.
    """
    if name in places:
        return places[name]
    return int(name) if _is_whole(name) and int(name) < len(places) else None


def _is_whole(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


def _bad(argument: str, line: int, required: str, got: str, remedy: str) -> InputError:
    return fail(argument, f"{required} in line {line}", repr(got), remedy)
