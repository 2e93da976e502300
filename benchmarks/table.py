"""Write the rows to a CSV file and a page."""

import csv
from collections.abc import Iterable
from dataclasses import asdict, fields
from itertools import groupby
from pathlib import Path

from benchmarks import pages
from benchmarks.cases import CASES
from benchmarks.measure import Row

MOST = 3  # number of shapes that must reach the goal `most`
METHOD = (
    "One call computes the loss and its gradients. All contenders of a problem run in one process, one call each per "
    "round, in a new random order in each round. Gradients are cleared and garbage is collected before each call. "
    "Ratios are computed within a round; the tables show the median over rounds and the quartiles. "
    "Memory is the peak of torch's allocator beyond the inputs, including gradients, in a separate call, in units of "
    "the buffer of the N×C logits. Memory that a library allocates outside torch is not included. "
    "Errors are relative to the reference's formula in float64 on the same inputs: of the mean loss in nats, and of "
    "the gradient as a fraction of its largest entry."
)
HEADER = ("N×C", "dtype", "contender", "time ÷ reference", "ms", "memory", "loss error", "gradient error", "goal")


def write(rows: list[Row], machine: dict[str, str], folder: Path, *, rounds: int, warmup: int) -> None:
    """Write results.csv and the section on losses of RESULTS.md."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "results.csv").open("w", newline="", encoding="utf-8") as file:
        names = [item.name for item in fields(Row)]
        writer = csv.DictWriter(file, [*names, *machine], lineterminator="\n")
        writer.writeheader()
        writer.writerows({**asdict(row), **machine} for row in rows)
    pages.put(folder, "losses", page(rows, machine, rounds=rounds, warmup=warmup))


def page(rows: list[Row], machine: dict[str, str], *, rounds: int, warmup: int) -> str:
    """Return the page: hardware and versions, the goals, and a table per case."""
    lines = ["# Losses", "", "Time by operation: [PROFILE.md](PROFILE.md).", ""]
    lines += [f"- {name}: {value}" for name, value in machine.items()]
    lines += [f"- rounds: n = {rounds}, after {warmup} warm-up", "", METHOD, ""]
    lines += ["## Goals", "", *_summary(rows), ""]
    for case, group in groupby(rows, key=lambda row: row.case):
        lines += [f"## {CASES[case].title}", "", CASES[case].about, "", *_table(list(group)), ""]
    return "\n".join(lines)


def verdicts(row: Row) -> list[tuple[str, str]]:
    """Return each goal of a row and whether it is "met", "missed" or "not measured"."""
    goals = (("time", row.time_goal, row.ratio, "×"), ("memory", row.memory_goal, row.memory, ""))
    return [(f"{name} {goal:g}{unit}", _verdict(got, goal)) for name, goal, got, unit in goals if goal is not None]


def most_verdicts(rows: Iterable[Row]) -> list[tuple[str, str]]:
    """Return the goals for most shapes of a contender, one for each dtype."""
    found: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        if row.most_goal is not None:
            found.setdefault((row.case, row.dtype, row.contender), []).append(row)
    result = []
    for (case, dtype, contender), group in found.items():
        reached = sum(
            row.ratio is not None and row.ratio <= row.most_goal for row in group if row.most_goal is not None
        )
        goal = f"{case}, {dtype}, {contender}: time {group[0].most_goal:g}× at {MOST} of {len(group)} shapes"
        complete = all(row.ratio is not None for row in group)
        missed = "missed" if complete else "not measured"
        result.append((f"{goal}, reached at {reached}", "met" if reached >= MOST else missed))
    return result


def _verdict(got: float | None, goal: float) -> str:
    if got is None:
        return "not measured"
    return "met" if got <= goal else "missed"


def _summary(rows: list[Row]) -> list[str]:
    every = [
        (f"{row.case}, {row.shape}, {row.dtype}, {row.contender}: {goal}, got {_got(row, goal)}", verdict)
        for row in rows
        for goal, verdict in verdicts(row)
    ]
    every += most_verdicts(rows)
    counts = {word: [goal for goal, verdict in every if verdict == word] for word in ("met", "missed", "not measured")}
    lines = [", ".join(f"{len(goals)} {word}" for word, goals in counts.items()) + "."]
    for word in ("missed", "not measured"):
        if counts[word]:
            lines += ["", f"{word.capitalize()}:", "", *(f"- {goal}" for goal in counts[word])]
    return lines


def _got(row: Row, goal: str) -> str:
    return _number(row.ratio if goal.startswith("time") else row.memory, ".3g")


def _table(rows: list[Row]) -> list[str]:
    lines = [_line(HEADER), _line("---" for _ in HEADER)]
    for row in rows:
        if not _left_out(row):
            lines.append(_line(_cells(row)))
    notes = {f"{row.contender}: {row.note}" for row in rows if row.note}
    return [*lines, "", *(f"- {note}" for note in sorted(notes))] if notes else lines


def _left_out(row: Row) -> bool:
    return row.note.startswith("skipped") and not verdicts(row)


def _cells(row: Row) -> list[str]:
    goals = "; ".join(f"{goal}: {'**missed**' if verdict == 'missed' else verdict}" for goal, verdict in verdicts(row))
    return [
        row.shape,
        row.dtype,
        row.contender,
        _spread(row.ratio_q1, row.ratio, row.ratio_q3, ".3f"),
        _spread(row.ms_q1, row.ms, row.ms_q3, ".3g"),
        _number(row.memory, ".2f"),
        _number(row.loss_error, ".1e"),
        _number(row.gradient_error, ".1e"),
        goals,
    ]


def _spread(low: float | None, middle: float | None, high: float | None, form: str) -> str:
    if middle is None:
        return "–"
    return f"{_number(middle, form)} ({_number(low, form)}–{_number(high, form)})"


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else f"{value:{form}}"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
