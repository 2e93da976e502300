"""The command `compare`: arguments in, messages out."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softtargets.cli.errors import DONE, RUNS_FAILED
from softtargets.cli.imports import without_collections
from softtargets.cli.progress import shown_progress
from softtargets.cli.terminal import write

if TYPE_CHECKING:
    from softtargets.compare import CompareResults, CompareStage
    from softtargets.train.progress import Progress


def compare(
    data: Annotated[
        str,
        typer.Argument(metavar="DATA", help="Data set: digits, a file or folder, or a name on the Hugging Face Hub."),
    ],
    label: Annotated[str | None, typer.Option(metavar="COLUMN", help="Label column of DATA (default: label).")] = None,
    votes: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Votes in place of a label: votes for columns votes_cat, votes_dog, ..., the names of such columns "
            "separated by commas, or one column of lists.",
        ),
    ] = None,
    annotators: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN,...", help="Columns of the labels of several annotators, in place of a label; empty: none."
        ),
    ] = None,
    text: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Text column of DATA (default: detected by its content).")
    ] = None,
    features: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="Numeric column of DATA; can be repeated (default: every column except the label).",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Network that every method trains: a name such as mlp, or the import path of a function that returns "
            "one, MODULE:NAME (default: a small network for the kind of data).",
        ),
    ] = None,
    specification: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="TOML file as for `train`, whose tables model, optimizer, schedule, augmentation, training, noise and "
            "data replace those of the default recipe.",
        ),
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...",
            help="Methods to compare with cross entropy, such as label_smoothing,temperature,ensemble (default: all "
            "that the data allow).",
        ),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Time for all training, such as 30m or 1h: plans what fits (default: no limit)."
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(min=2, max=100, metavar="N", help="Repetitions of each method in the verdict (default: 5)."),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Epochs of every run (default: chosen by the size of the data)."),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**31 - 1, metavar="N", help="First seed of the runs, and seed of the splits.")
    ] = 0,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder for the page and its files (default: ./reports/compare-<name>)."),
    ] = None,
    runs: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of the run store.")] = Path("runs"),
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Worker processes (default: one per core).")
    ] = None,
) -> int:
    """Compare training methods on your data, and recommend one that is better beyond chance. Resumes if interrupted."""
    with without_collections():
        from softtargets.compare import CompareOptions, ComparisonFailedError, compare_methods

    options = CompareOptions(
        label=label,
        votes=votes,
        annotators=() if annotators is None else tuple(name.strip() for name in annotators.split(",")),
        text=text,
        features=tuple(features or ()),
        model=model,
        specification=specification,
        methods=None if methods is None else tuple(name.strip() for name in methods.split(",")),
        budget=budget,
        seeds=seeds,
        epochs=epochs,
        seed=seed,
        reports=Path("reports"),
        runs=runs,
        workers=workers,
    )
    try:
        with shown_progress() as on_training:
            shown = replace(options, on_progress=_shown(on_training))
            results = compare_methods(data, output=output, options=shown)
    except ComparisonFailedError as error:
        write(f"failed: {error}", error=True)
        return RUNS_FAILED
    write(show_comparison(results))
    return DONE


def _shown(on_training: "Callable[[Progress], None]") -> "Callable[[CompareStage | Progress], None]":
    """Return a function that prints the stages. Training has its own display."""
    from softtargets.compare import CompareStage

    def show(state: "CompareStage | Progress") -> None:
        if isinstance(state, CompareStage):
            write(state.name, error=True)
        else:
            on_training(state)

    return show


def show_comparison(results: "CompareResults") -> list[str]:
    """Return lines: the recommendation, one line for each method, what was not tested, and the page."""
    from softtargets.report import numbers

    lines = [results.advice.headline, *(f"  {sentence}" for sentence in results.advice.sentences)]
    heads = ("method", "accuracy", "difference", "NLL", "ECE", "time", "verdict")
    rows: list[tuple[str, ...]] = [heads]
    for method in results.methods:
        found = method.verdict.differences.get("accuracy")
        span = "" if found is None else _span(found.estimate, found.low, found.high)
        values = (
            f"{numbers.number(method.values['accuracy'], 'percent')} %",
            span,
            numbers.number(method.values["nll_scaled"], "nats"),
            numbers.number(method.values["ece_scaled"], "fraction"),
            numbers.number(method.cost, "factor"),
        )
        rows.append((method.label, *values, method.status))
    widths = [max(len(row[place]) for row in rows) for place in range(len(heads))]
    lines += ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    if results.data.votes is not None:
        lines += [f"Labels are votes: {results.data.votes}."]
    lines += ["NLL and ECE: after a temperature. time: of training, as a multiple of that of cross entropy."]
    lines += [f"not tested: {method.label}: {method.reason}" for method in results.skipped]
    return [*lines, f"page: {results.page}"]


def _span(estimate: float, low: float, high: float) -> str:
    from softtargets.report import numbers

    ends = " to ".join(numbers.ends(low, high, "percent", signed=True))
    return f"{numbers.number(estimate, 'percent', signed=True)} ({ends})"
