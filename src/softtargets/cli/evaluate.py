"""The command `evaluate`: arguments in, messages out."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softtargets._memory import return_large_blocks
from softtargets.cli.errors import DONE
from softtargets.cli.imports import without_collections
from softtargets.cli.progress import StageLines
from softtargets.cli.terminal import write


class EvaluatedSplit(StrEnum):
    """Parts of the data of a run."""

    train = "train"
    validation = "validation"
    test = "test"


if TYPE_CHECKING:
    from softtargets.evaluate import EvaluationResults
    from softtargets.evaluate.inputs import OnRows

_SHOWN = (
    "accuracy",
    "nll",
    "perplexity",
    "brier",
    "ece",
    "ece_mass",
    "smooth_ece",
    "overconfidence",
    "aurc",
    "misclassification_auroc",
)


def evaluate(
    predictions: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]FILE...",
            help="Predictions of one model (.npz, .npy, .safetensors, .pt, .parquet, .csv, .tsv, .jsonl; text also "
            ".gz): an array (N, K), or columns, named logits or probs, and labels; one row for each example. For "
            "sequences of tokens: an array (N, L, K) and labels (N, L), -100 for tokens to ignore. Several files are "
            "shards, in order. A quoted pattern, 'shard-*.npz', matches several files. Or the folder of an "
            "ensemble, or of a run that writes tokens, whose network is run.",
        ),
    ],
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]FILE",
            help="Predictions of another model on the same rows in the same order; can be repeated, once for each "
            "model. Give shards as a quoted pattern.",
        ),
    ] = None,
    logits: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Array or columns of logits in all files, or names of columns with commas: cat,dog (default: logits).",
        ),
    ] = None,
    probs: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Array or columns of probabilities in all files, or names of columns with commas: cat,dog (default: "
            "probs).",
        ),
    ] = None,
    labels: Annotated[
        str | None, typer.Option(metavar="NAME", help="Array or column of labels in all files (default: labels).")
    ] = None,
    labels_from: Annotated[
        str | None,
        typer.Option(
            metavar="FILE[:NAME]",
            help="Separate file with the labels of all models; labels in the other files are then ignored.",
        ),
    ] = None,
    mask: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Array (N, L), 0 or false for tokens to ignore, in the files of the labels (default: mask, if there "
            "is one).",
        ),
    ] = None,
    token_counts: Annotated[
        str | None,
        typer.Option(
            metavar="FILE[:NAME]",
            help="File with an array of K numbers, named counts by default: how often each token occurs in the "
            "training data (default: tokens are counted in the labels).",
        ),
    ] = None,
    conformal: Annotated[
        float | None,
        typer.Option(
            metavar="ALPHA",
            help="Also compute prediction sets, of which this share may miss the label, such as 0.1. "
            "A random half of the rows, by --seed, determines the sets of the other half.",
        ),
    ] = None,
    conformal_from: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Other rows of the same model, with labels, that determine the prediction sets of all rows.",
        ),
    ] = None,
    split: Annotated[
        EvaluatedSplit | None, typer.Option(help="Of a run: the part of its data to evaluate (default: test).")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, metavar="N", help="Seed of the bootstrap and the folds.")
    ] = 0,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder for the page and its files (default: ./reports/evaluate-NAME)."),
    ] = None,
) -> int:
    """Evaluate predictions: metrics with intervals, calibration, temperature scaling, comparison of models."""
    with without_collections():
        from softtargets.evaluate import EvaluateRequest, EvaluationOptions, evaluate_predictions

    return_large_blocks()
    names = {"logits": logits, "probs": probs, "labels": labels, "mask": mask}
    request = EvaluateRequest.parse(
        predictions,
        against or (),
        **names,
        labels_from=labels_from,
        token_counts=token_counts,
        conformal_from=conformal_from,
        split=None if split is None else split.value,
        output=output,
    )
    options = EvaluationOptions(seed=seed, conformal=conformal, reports=Path("reports"), on_rows=show_rows())
    results = evaluate_predictions(predictions=request, options=options)
    write([*show_evaluation(results), f"page: {results.page}"])
    return DONE


def show_rows() -> "OnRows":
    """Return a function that prints each stage as it begins, and its progress every few seconds."""
    lines = StageLines()

    def show(stage: str, done: int, total: int | None) -> None:
        rows = f" {done:,} rows" if total is None else f" {done:,} of {total:,} rows, {100 * done / total:.0f} %"
        lines(stage, f":{rows}" if done else "")

    return show


def show_evaluation(results: "EvaluationResults") -> list[str]:
    """Return lines: the main metrics, the findings and the notes."""
    from softtargets.evaluate.text import range_of, text_of

    model, classes = results.main, results.num_classes
    kind = "logits" if model.kind == "logits" else "probabilities"
    lines = [f"{model.name}: {results.size}, {classes:,} classes, {kind}"]
    for metric in filter(None, map(model.metric, _SHOWN)):
        label, unit = metric.definition.label, metric.definition.unit
        ends = f"  ({range_of(metric.interval, unit)})" if metric.interval else ""
        lines.append(f"  {label:<24}{text_of(metric.value, unit):>9}{ends}")
    lines[1] += f"  {100 * results.confidence:g} % intervals" if model.metrics[0].interval else ""
    lines += [" ".join((finding.title, *finding.sentences)).strip() for finding in results.findings]
    return [*lines, *(f"{one.name}: {note}" for one in results.models for note in one.notes)]
