"""Labels that were checked by hand, and the noise rate that they correct."""

import csv
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from softtargets._errors import InputError, fail
from softtargets.noise import NoiseRange
from softtargets.noise.streaming.blocks import LabelledBlock
from softtargets.noise.streaming.trusted import correct_rate

# Fewest checked labels.
LEAST = 20
CONFIDENCE = 0.95


@dataclass(frozen=True, eq=False)
class TrustedLabels:
    """Right labels of rows that were drawn at random.

    Args:
        rows: (M,) int64, ascending.
        labels: (M,) int64.
    """

    rows: Tensor
    labels: Tensor

    def within(self, block: LabelledBlock) -> tuple[Tensor, Tensor]:
        """Return the rows of a block that were checked, counted from its first one, and whether their labels differ."""
        ends = torch.searchsorted(self.rows, torch.tensor([block.first_row, block.first_row + len(block)]))
        part = slice(int(ends[0]), int(ends[1]))
        chosen = self.rows[part] - block.first_row
        return chosen, block.labels[chosen] != self.labels[part]


def read_trusted(path: Path, class_names: tuple[str, ...]) -> TrustedLabels:
    """Read a CSV file with the columns "row", counted from 0, and "label", the name or the index of a class.

    Raises:
        InputError: a file without these columns, a row that occurs twice, an unknown class, or too few rows.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise fail("trusted", "a CSV file", f"'{path}' ({error})", "give a file with columns row and label") from error
    if not lines or not {"row", "label"} <= lines[0].keys():
        got = ", ".join(lines[0]) if lines else "no rows"
        raise fail("trusted", "the columns row and label", got, "write one line for each label that was checked")
    places = {name: place for place, name in enumerate(class_names)}
    found: dict[int, int] = {}
    for number, line in enumerate(lines, start=2):
        row, name = (line["row"] or "").strip(), line["label"] or ""
        known = places.get(name, int(name) if name.isdigit() and int(name) < len(class_names) else None)
        if known is None:
            raise _bad(number, "a class", name, "write its name or its index")
        if not row.isdigit() or int(row) in found:
            raise _bad(number, "a row, counted from 0, that occurs once", row, "copy it from the audited data")
        found[int(row)] = known
    if len(found) < LEAST:
        raise fail("trusted", f"at least {LEAST} rows", len(found), "check more labels; 200 are a good number")
    rows = torch.tensor(sorted(found))
    return TrustedLabels(rows, torch.tensor([found[row] for row in rows.tolist()]))


def _bad(line: int, required: str, got: str, remedy: str) -> InputError:
    return fail("trusted", f"{required} in line {line}", repr(got), remedy)


def correct_range(rate: NoiseRange, predicted: Tensor, wrong: Tensor, size: int) -> NoiseRange:
    """Return the range that checked labels give.

    Args:
        rate: the range from the predictions alone.
        predicted: (M,) float64, probabilities that the checked labels are wrong; their mean over all rows is the
            estimate of `rate`.
        wrong: (M,) bool, whether they are.
        size: number of all rows.
    """
    ends = correct_rate(predicted, wrong.double(), mean=rate.estimate, size=size, confidence=CONFIDENCE)
    principles = {**rate.principles, "trusted": ends[0]}
    return replace(rate, estimate=ends[0], low=ends[1], high=ends[2], agree=True, principles=principles)
