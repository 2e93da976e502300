"""The command `evaluate`: arguments in, messages out."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softtargets.cli.errors import DONE

if TYPE_CHECKING:
    from softtargets.evaluate.inputs import OnRows
    from softtargets.evaluate.job import EvaluateOutcome

_SHOWN = ("accuracy", "nll", "brier", "ece", "ece_mass", "smooth_ece", "overconfidence", "aurc", "error_auroc")


def evaluate(
    predictions: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]FILE...",
            help="Predictions of one model (.npz, .safetensors, .csv, .parquet): an array (N, K) or columns named "
            "logits or probs, and labels, one row for each example. Several files are shards, in the order of their "
            "rows; a quoted pattern, 'shard-*.npz', names many.",
        ),
    ],
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]FILE",
            help="Another model's predictions of the same rows in the same order; may be repeated, a model each. "
            "Shards of one model are a quoted pattern.",
        ),
    ] = None,
    logits: Annotated[
        str | None, typer.Option(metavar="NAME", help="The array or columns that hold logits, in all files.")
    ] = None,
    probs: Annotated[
        str | None, typer.Option(metavar="NAME", help="The one that holds probabilities, if not logits.")
    ] = None,
    labels: Annotated[
        str | None, typer.Option(metavar="NAME", help="The array or column of labels in the files; labels without.")
    ] = None,
    labels_from: Annotated[
        str | None,
        typer.Option(
            metavar="FILE[:NAME]",
            help="A file of its own with the labels of all models; those in the files are then not looked at.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of intervals and of folds.")] = 0,
    output: Annotated[
        Path | None, typer.Option(help="Where the page and its files go; ./reports/evaluate-<name> without.")
    ] = None,
) -> int:
    """Say how far predictions can be trusted: metrics with intervals, calibration, temperature, differences."""
    from softtargets.evaluate.job import run_evaluate
    from softtargets.evaluate.request import EvaluateRequest

    request = EvaluateRequest(
        predictions=tuple(predictions),
        against=tuple(against or ()),
        logits=logits,
        probs=probs,
        labels=labels,
        labels_from=labels_from,
        seed=seed,
        output=output,
    )
    typer.echo(show_evaluation(run_evaluate(request, on_rows=show_rows())))
    return DONE


def show_rows() -> "OnRows":
    """Return a function that prints a stage when it begins, and how many rows are done every few seconds."""
    from softtargets.cli.progress import SECONDS_BETWEEN_LINES

    last: tuple[str, float] = ("", 0.0)

    def show(stage: str, done: int, total: int | None) -> None:
        nonlocal last
        now = time.monotonic()
        if stage == last[0] and now - last[1] < SECONDS_BETWEEN_LINES:
            return
        rows = f" {done:,} rows" if total is None else f" {done:,} of {total:,} rows, {100 * done / total:.0f} %"
        print(f"{stage}{f':{rows}' if done else ''}", file=sys.stderr, flush=True)
        last = (stage, now)

    return show


def show_evaluation(outcome: "EvaluateOutcome") -> str:
    """Say how good the predictions are, whether to trust them, what differs and where the page is."""
    from softtargets.evaluate.findings import findings, range_of, text_of
    from softtargets.report.numbers import count

    results = outcome.results
    model, classes = results.main, results.num_classes
    kind = "logits" if model.kind == "logits" else "probabilities"
    lines = [f"{model.name}: {count(model.num_rows, 'row')}, {classes:,} classes, {kind}"]
    for metric in filter(None, map(model.metric, _SHOWN)):
        ends = f"  ({range_of(metric.interval, metric.measure.unit)})" if metric.interval else ""
        lines.append(f"  {metric.measure.label:<24}{text_of(metric.value, metric.measure.unit):>9}{ends}")
    lines[1] += f"  {100 * results.confidence:g} % intervals" if model.metrics[0].interval else ""
    lines += [" ".join((finding.title, *finding.sentences)).strip() for finding in findings(results)]
    lines += [f"{one.name}: {note}" for one in results.models for note in one.notes]
    return "\n".join([*lines, f"page: {outcome.page}"])
