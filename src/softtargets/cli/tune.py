"""The command `tune`: arguments in, a table and a specification out."""

from enum import StrEnum
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softtargets.cli.imports import without_collections
from softtargets.cli.terminal import write

if TYPE_CHECKING:
    from softtargets.tune import TuneResults, TuneTrial


class ByName(StrEnum):
    """What is compared on the validation split."""

    nll = "nll"
    accuracy = "accuracy"


def tune(
    specification: Annotated[
        Path, typer.Argument(metavar="FILE", help="TOML file as for `train`. Its own values are the default.")
    ],
    field: Annotated[
        list[str],
        typer.Option(
            metavar="TABLE.FIELD=LOW:HIGH[:log]",
            help="A number to choose, and its range: objective.smoothing=0:0.3; can be repeated.",
        ),
    ],
    trials: Annotated[int, typer.Option(min=1, metavar="N", help="Number of trials.")] = 20,
    by: Annotated[ByName, typer.Option(help="Validation NLL or accuracy after the last epoch.")] = ByName.nll,
    seeds: Annotated[
        int, typer.Option(min=3, metavar="N", help="Number of fresh seeds on which best and default are compared.")
    ] = 5,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of the search.")] = 0,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="TOML file of the recommended specification.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    runs: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of the run store.")] = Path("runs"),
    workers: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Worker processes for the fresh seeds (default: one per core)."),
    ] = None,
) -> None:
    """Choose numbers of a specification by validation, and recommend them only if they are better beyond chance."""
    with without_collections():
        from softtargets._storage import write_atomically
        from softtargets.cli.progress import shown_progress
        from softtargets.tune import tune as search

    def say(trial: "TuneTrial") -> None:
        write(_row(trial), error=True)

    with shown_progress() as on_progress:
        found = search(
            specification,
            field,
            trials=trials,
            by=by.value,
            seeds=seeds,
            seed=seed,
            runs=runs,
            workers=workers,
            on_trial=say,
            on_progress=on_progress,
        )
    if output is not None:
        write_atomically(output, found.toml.encode())
    if json:
        write(dumps(found.to_dict(), indent=2).splitlines())
        return
    write([found.sentence, "", *_table(found)])
    if output is not None:
        write(f"recommended specification: {output}")
    elif found.changes:
        write("repeat with --output FILE to write the recommended specification; nothing is trained again")


def _table(found: "TuneResults") -> list[str]:
    """Return the trials from the best to the worst, with the default marked."""
    rows = [found.default, *found.trials]
    scores = {id(trial): trial.score(found.by) for trial in rows}
    ordered = sorted(rows, key=lambda t: (t.status != "finished", scores[id(t)] is None, scores[id(t)] or 0.0))
    lines = [_row(trial) for trial in ordered]
    if found.guard is not None:
        name = "NLL" if found.by == "nll" else "accuracy"
        lines += ["", f"fresh seeds: validation {name} of the default, and of the best trial"]
        pairs = zip(found.guard.seeds, found.guard.default, found.guard.best, strict=True)
        lines += [f"  {seed}  {before:.4f}  {after:.4f}" for seed, before, after in pairs]
    return lines


def _row(trial: "TuneTrial") -> str:
    name = "default" if trial.number is None else f"trial {trial.number}"
    values = "  ".join(f"{path} = {value:.4g}" for path, value in trial.values.items())
    scores = "" if trial.nll is None or trial.accuracy is None else f"NLL {trial.nll:.4f}  {100 * trial.accuracy:.2f} %"
    ended = "" if trial.status == "finished" else f"{trial.status} after {trial.epochs} epochs"
    return "  ".join(part for part in (f"{name:<9}", scores, ended, values, trial.message) if part)
