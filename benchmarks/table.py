"""Write the rows to a CSV file and a page."""

import csv
from collections.abc import Iterable
from dataclasses import asdict, fields
from itertools import groupby
from pathlib import Path

from benchmarks import pages
from benchmarks.cases import CASES
from benchmarks.goals import GOALS, Measured
from benchmarks.measure import Row

METHOD = (
    "One call computes the loss and its gradients. All contenders of a problem run in one process, one timing each per "
    "round, in a new random order in each round, after one round that is not timed. Gradients are cleared and garbage "
    "is collected before each timing. Ratios are computed within a round; the tables show the median over n rounds and "
    "the quartiles. A slow case stops before its last round when its time is used up. "
    "Memory is the peak beyond the inputs, including gradients, in units of the buffer of the N×C logits: of torch's "
    "allocator, and in brackets the growth of a separate process, which includes memory that is allocated outside "
    "torch (error: up to about 0.25 MiB). A goal for memory is held against the larger one. "
    "Errors are relative to the reference's formula in float64 on the same inputs: of the mean loss in nats, and of "
    "the gradient as a fraction of its largest entry."
)
HEADER = (
    "N×C",
    "dtype",
    "contender",
    "time ÷ reference",
    "ms",
    "n",
    "time ÷ torch.compile",
    "memory",
    "loss error",
    "gradient error",
    "goal",
)


def write(rows: list[Row], machine: dict[str, str], folder: Path) -> None:
    """Write results.csv and the section on losses of RESULTS.md."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "results.csv").open("w", newline="", encoding="utf-8") as file:
        names = [item.name for item in fields(Row)]
        writer = csv.DictWriter(file, [*names, *machine], lineterminator="\n")
        writer.writeheader()
        writer.writerows({**asdict(row), **machine} for row in rows)
    pages.put(folder, "losses", page(rows, machine), [one for row in rows for one in measured(row)], machine)


def page(rows: list[Row], machine: dict[str, str]) -> str:
    """Return the page: hardware and versions, and a table per case."""
    lines = ["# Losses", "", "Time by operation: [PROFILE.md](PROFILE.md).", ""]
    lines += [f"- {name}: {value}" for name, value in machine.items()]
    lines += ["", METHOD, ""]
    for case, group in groupby(rows, key=lambda row: row.case):
        lines += [f"## {CASES[case].title}", "", CASES[case].about, "", *_table(list(group)), ""]
    return "\n".join(lines)


def measured(row: Row) -> list[Measured]:
    """Return the values of a row that are held against goals."""
    where = ", ".join(part for part in (row.shape, row.dtype, row.condition, row.contender) if part)
    return [Measured(goal, where, _value(row, goal), _rounds(row, goal)) for goal in row.goals.split()]


def _value(row: Row, goal: str) -> float | None:
    if goal == "compile":
        return row.times_compiled
    if "memory" in goal:
        return None if row.memory is None else max(row.memory, row.resident or 0.0)
    return row.ratio


def _rounds(row: Row, goal: str) -> int:
    return 1 if "memory" in goal else row.rounds


def _table(rows: list[Row]) -> list[str]:
    """Return the table of a case; columns that are empty in all rows are left out."""
    shown = [_cells(row) for row in rows if not _left_out(row)]
    kept = [i for i in range(len(HEADER)) if any(cells[i] not in ("", "–") for cells in shown)]
    lines = [_line(HEADER[i] for i in kept), _line("---" for _ in kept)]
    lines += [_line(cells[i] for i in kept) for cells in shown]
    notes = {f"{row.contender}: {row.note}" for row in rows if row.note}
    return [*lines, "", *(f"- {note}" for note in sorted(notes))] if notes else lines


def _left_out(row: Row) -> bool:
    return row.note.startswith("skipped") and not row.goals


def _cells(row: Row) -> list[str]:
    goals = [
        f"{GOALS[one.goal].required()}: {'**missed**' if one.verdict == 'missed' else one.verdict}"
        for one in measured(row)
    ]
    resident = "" if row.resident is None else f" ({row.resident:.3f})"
    return [
        ", ".join(part for part in (row.shape, row.condition) if part),
        row.dtype,
        row.contender,
        _spread(row.ratio_q1, row.ratio, row.ratio_q3, ".3f"),
        _spread(row.ms_q1, row.ms, row.ms_q3, ".3g"),
        str(row.rounds or "–"),
        _number(row.times_compiled, ".3f"),
        _number(row.memory, ".3f") + resident,
        _number(row.loss_error, ".1e"),
        _number(row.gradient_error, ".1e"),
        "; ".join(goals),
    ]


def _spread(low: float | None, middle: float | None, high: float | None, form: str) -> str:
    if middle is None:
        return "–"
    if low is None:
        return _number(middle, form)
    return f"{_number(middle, form)} ({_number(low, form)}–{_number(high, form)})"


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else f"{value:{form}}"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
