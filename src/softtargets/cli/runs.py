"""The command `runs`: arguments in, messages out."""

import json
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softtargets.cli.terminal import write

if TYPE_CHECKING:
    from softtargets.ensembles import EnsembleEntry
    from softtargets.runs import RunEntry, RunListing

# Longest cell of the table.
_WIDTH = 44


class StatusName(StrEnum):
    """States of a run."""

    finished = "finished"
    partial = "partial"
    failed = "failed"
    damaged = "damaged"


def runs_command(
    prefix: Annotated[
        str, typer.Argument(metavar="PREFIX", help="First digits of the identities of runs (default: all runs).")
    ] = "",
    runs: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of the run store.")] = Path("runs"),
    status: Annotated[StatusName | None, typer.Option(help="Only runs of this status.")] = None,
    data: Annotated[str, typer.Option(metavar="TEXT", help="Only runs whose data set has TEXT in its name.")] = "",
    model: Annotated[
        str, typer.Option(metavar="TEXT", help="Only runs with TEXT in the name or the settings of the model.")
    ] = "",
    objective: Annotated[
        str, typer.Option(metavar="TEXT", help="Only runs with TEXT in the name or the settings of the objective.")
    ] = "",
    verify: Annotated[
        bool, typer.Option("--verify", help="Also compare the checksums of all files, which reads them completely.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List the runs in the run store: status, data, model, objective, test accuracy, size and date; and ensembles."""
    from softtargets.ensembles import list_ensembles
    from softtargets.runs import list_runs

    listing = list_runs(
        runs,
        prefix=prefix,
        status=None if status is None else status.value,
        data=data,
        model=model,
        objective=objective,
        verify=verify,
    )
    # the other options are about runs
    ensembles = () if status or data or model or objective else list_ensembles(runs, prefix=prefix)
    if as_json:
        content = {**listing.to_dict(), "ensembles": [entry.to_dict() for entry in ensembles]}
        write(json.dumps(content, indent=2).splitlines())
        return
    write([*show_listing(listing), *show_ensembles(ensembles)])


def show_listing(listing: "RunListing") -> list[str]:
    """Return lines: a table of the runs with the reasons of failures, their number by status, and sizes on disk."""
    from softtargets._storage import shown_bytes
    from softtargets.report.numbers import count

    rows = [("run", "status", "data", "noise", "model", "objective", "seed", "test acc. (%)", "size", "date")]
    rows += [_row(listing, entry) for entry in listing.runs]
    # a column without entries is left out
    kept = [place for place in range(len(rows[0])) if any(row[place] for row in rows[1:])]
    widths = [max(len(row[place]) for row in rows) for place in kept]
    table = ["  ".join(f"{row[i]:<{width}}" for i, width in zip(kept, widths, strict=True)).rstrip() for row in rows]
    lines = table[:1] if listing.runs else []
    for line, entry in zip(table[1:], listing.runs, strict=True):
        lines += [line] + ([f"  {entry.reason}"] if entry.reason else [])
    by_status = ", ".join(f"{number} {name}" for name, number in Counter(e.status for e in listing.runs).most_common())
    total = count(len(listing.runs), "run") + (f" ({by_status})" if by_status else "")
    lines.append(f"{total} in {listing.folder}, {shown_bytes(sum(entry.size for entry in listing.runs))}")
    others = ", ".join(f"{name} {shown_bytes(size)}" for name, size in listing.others.items())
    return lines + ([f"other folders: {others}"] if others else [])


def show_ensembles(ensembles: "Sequence[EnsembleEntry]") -> list[str]:
    """Return lines: a table of the ensembles; none without any."""
    from softtargets.report.numbers import count, number

    if not ensembles:
        return []
    rows: list[tuple[str, ...]] = [("ensemble", "kind", "members", "data", "test acc. (%)")]
    for entry in ensembles:
        accuracy = "" if entry.test_accuracy is None else number(entry.test_accuracy, "percent")
        known = (entry.kind, str(entry.size), _cut(entry.data), accuracy) if entry.kind else ("damaged", "", "", "")
        rows.append((entry.name[:8], *known))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return ["", *table, f"{count(len(ensembles), 'ensemble')} in {ensembles[0].path.parent}"]


def _row(listing: "RunListing", entry: "RunEntry") -> tuple[str, ...]:
    from softtargets._storage import shown_bytes
    from softtargets.report.numbers import number

    status = str(entry.status)
    if entry.status in ("partial", "failed") and entry.epoch is not None:
        status += f", epoch {entry.epoch}" + (f" of {entry.epochs}" if entry.epochs else "")
    accuracy = "" if entry.test_accuracy is None else number(entry.test_accuracy, "percent")
    named = (_cut(text) for text in (entry.data, entry.noise, entry.model, entry.objective))
    date = entry.modified.astimezone().strftime("%Y-%m-%d %H:%M")
    return (listing.short(entry.identity), status, *named, entry.seeds, accuracy, shown_bytes(entry.size), date)


def _cut(text: str) -> str:
    """Return a text of limited length; of a long path or name the end is shown, which tells them apart."""
    if len(text) <= _WIDTH:
        return text
    return f"...{text[3 - _WIDTH :]}" if "/" in text else f"{text[: _WIDTH - 3]}..."
