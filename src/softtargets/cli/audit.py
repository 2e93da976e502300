"""The command `audit`: arguments in, messages out."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softtargets.cli.errors import DONE, RUNS_FAILED

if TYPE_CHECKING:
    from softtargets.audit.job import AuditOutcome

_SHOWN = 5


def audit(
    data: Annotated[
        str | None,
        typer.Option(help="A data set: digits, a file or folder, or a hub name; its training part is audited."),
    ] = None,
    label: Annotated[str | None, typer.Option(help="The label column of --data.")] = None,
    text: Annotated[str | None, typer.Option(metavar="COLUMN", help="The column of texts of --data.")] = None,
    features: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN", help="A column of numbers of --data; may be repeated. All but the label without."
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="FILE:COLUMN",
            help="Audit these labels, whose classes must be those of --data; its label column is then taken for the "
            "truth that judges the audit.",
        ),
    ] = None,
    predictions: Annotated[
        list[Path] | None,
        typer.Option(
            help="Held-out predictions (.npz, .safetensors, .csv, .parquet), several files in order: of a model that "
            "has not been trained on the example it predicts. Without, models are cross-validated."
        ),
    ] = None,
    logits: Annotated[str | None, typer.Option(help="The array or column of --predictions that holds logits.")] = None,
    probs: Annotated[str | None, typer.Option(help="The one that holds probabilities, if not logits.")] = None,
    folds: Annotated[int | None, typer.Option(min=2, help="Folds of the cross-validation; 5 without.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of folds, models and intervals.")] = 0,
    epochs: Annotated[int | None, typer.Option(min=1, help="Of each model; by the size of the data without.")] = None,
    top: Annotated[int, typer.Option(min=0, help="How many suspects the page shows.")] = 200,
    output: Annotated[
        Path | None, typer.Option(help="Where the page and its files go; ./reports/audit-<name> without.")
    ] = None,
    runs: Annotated[Path, typer.Option(help="Where runs are kept.")] = Path("runs"),
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; one per core without.")] = None,
) -> int:
    """Find wrong labels: how many, how, which, and what to do about them."""
    from softtargets.audit.job import run_audit
    from softtargets.audit.models import RunsFailedError
    from softtargets.audit.request import AuditRequest
    from softtargets.cli.progress import shown_progress

    request = AuditRequest(
        data=data,
        label=label,
        text=text,
        features=tuple(features or ()),
        labels=labels,
        predictions=tuple(predictions or ()),
        logits=logits,
        probs=probs,
        folds=folds,
        seed=seed,
        epochs=epochs,
        top=top,
        output=output,
        runs=runs,
    )
    try:
        if request.predictions:
            outcome = run_audit(request, workers=workers, on_stage=_shown_stages())
        else:
            with shown_progress() as on_progress:
                outcome = run_audit(request, workers=workers, on_progress=on_progress, on_stage=_shown_stages())
    except RunsFailedError as error:
        typer.echo(f"failed: {error}", err=True)
        return RUNS_FAILED
    typer.echo(show_audit(outcome))
    return DONE


def _shown_stages() -> Callable[[str, float], None]:
    """Return a function that prints a stage when it begins, and how far it is every few seconds."""
    from softtargets.cli.progress import SECONDS_BETWEEN_LINES

    last: tuple[str, float] = ("", 0.0)

    def show(stage: str, done: float) -> None:
        nonlocal last
        now = time.monotonic()
        if done < 1 and (stage != last[0] or now - last[1] >= SECONDS_BETWEEN_LINES):
            print(f"{stage}{f', {100 * done:.0f} %' if done else ''}", file=sys.stderr, flush=True)
            last = (stage, now)

    return show


def show_audit(outcome: "AuditOutcome") -> str:
    """Say what was found, what to do and where the page is."""
    results = outcome.results
    rate, names = results.noise_rate, results.class_names
    interval = f"{100 * results.confidence:g} % interval {rate.low:.1%} to {rate.high:.1%}"
    lines = [
        f"{results.num_rows:,} labels of {results.name}, {len(names)} classes; "
        f"the held-out prediction agrees with {results.accuracy:.1%}",
    ]
    advice = f"recommended: {results.recommendation.action}. {' '.join(results.recommendation.reason)}"
    if not results.known:
        return "\n".join([*lines, advice, f"page: {outcome.page}"])
    lines += [
        f"estimated wrong: {rate.estimate:.1%}, {interval} (by {results.estimate.label})",
    ]
    if results.reference is not None and results.estimate.distance is not None:
        mean = sum(results.estimate.distance) / len(names)
        true = f"by the reference: {results.reference.noise_rate:.1%}"
        lines.append(f"{true}; total variation of T to the reference's: {mean:.3f}, mean of the classes")
    if results.confusions:
        lines.append("most confused (true -> label):")
    for pair in results.confusions[:_SHOWN]:
        clean, observed = (" ".join(names[index].split()) for index in (pair.clean, pair.observed))
        lines.append(f"  {clean} -> {observed}: {pair.count.estimate:,.0f}")
    lines.append(f"suspects: {len(results.suspects):,} labels more likely wrong than right")
    return "\n".join([*lines, advice, f"page: {outcome.page}"])
