"""The command `audit`: arguments in, messages out."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softtargets._errors import fail
from softtargets.cli.errors import DONE, RUNS_FAILED
from softtargets.cli.imports import without_collections
from softtargets.cli.progress import audit_progress
from softtargets.cli.terminal import write

if TYPE_CHECKING:
    from softtargets.audit import AuditResults

_SHOWN = 5


def audit(
    context: typer.Context,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            help="Data set: digits, a file or folder, or a name on the Hugging Face Hub. Its training split is "
            "audited.",
        ),
    ] = None,
    label: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Label column of --data (default: label).")
    ] = None,
    text: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Text column of --data (default: detected by its content).")
    ] = None,
    features: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="Numeric column of --data; can be repeated (default: every column except the label).",
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="FILE:COLUMN",
            help="Labels to audit instead of the label column of --data, with the same classes. The label column is "
            "then the reference: it is used to evaluate the audit, not to estimate anything.",
        ),
    ] = None,
    predictions: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Held-out predictions (.npz, .npy, .safetensors, .pt, .parquet, .csv, .tsv, .jsonl): each example "
            "predicted by a model that was not trained on it. Can be repeated, in row order (default: models are "
            "cross-validated on --data).",
        ),
    ] = None,
    logits: Annotated[
        str | None, typer.Option(metavar="NAME", help="Array or columns of logits in --predictions.")
    ] = None,
    probs: Annotated[
        str | None, typer.Option(metavar="NAME", help="Array or columns of probabilities in --predictions.")
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(min=2, metavar="N", help="Number of cross-validation folds (default: 5)."),
    ] = None,
    trusted: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Labels that were checked by hand: a CSV file with the columns row and label, of about 200 rows drawn "
            "at random. They correct the noise rate.",
        ),
    ] = None,
    reviewed: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Labels that people decided on, of any rows: a CSV file with the columns row and label. Models are "
            "trained on them, and they are no suspects.",
        ),
    ] = None,
    annotators: Annotated[
        str | None,
        typer.Option(
            metavar="FILE:COLUMN,...",
            help="Labels of several annotators: their agreement and the error rate of each are estimated too.",
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, metavar="N", help="Seed of the folds, models and intervals.")
    ] = 0,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Epochs of each network (default: chosen by the size of the data)."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:NAME",
            help="Model to cross-validate: the import path of a scikit-learn estimator, of a function that returns "
            "one, or of a function that returns a network for input_shape and num_classes (default: TF-IDF and "
            "logistic regression for texts, gradient boosting or logistic regression for tables, a small "
            "convolutional network for images).",
        ),
    ] = None,
    embeddings: Annotated[
        str | None,
        typer.Option(
            metavar="FILE[:NAME]",
            help="Vectors to fit the model to, one for each training row (.npy, .npz, .safetensors, .parquet, .csv).",
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Encoder of transformers or sentence-transformers, by name or folder: the model is fitted to its "
            "vectors of the texts.",
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            help="Check by nested cross-validation if training without the suspects helps, in about three times the "
            "time of the cross-validation. Only models of scikit-learn are checked.",
        ),
    ] = True,
    top: Annotated[int, typer.Option(min=0, metavar="N", help="Number of suspects shown on the page.")] = 200,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder for the page and its files (default: ./reports/audit-<name>)."),
    ] = None,
    runs: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of the run store.")] = Path("runs"),
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Worker processes (default: one per core).")
    ] = None,
) -> int:
    """Find wrong labels: estimate how many, rank them, and recommend what to do."""
    if context.invoked_subcommand is not None:
        return _refuse_options(context, context.invoked_subcommand)
    with without_collections():
        from softtargets.audit import AuditOptions, RunsFailedError, audit_labels

    options = AuditOptions(
        label=label,
        text=text,
        features=tuple(features or ()),
        folds=folds,
        epochs=epochs,
        trusted=trusted,
        reviewed=reviewed,
        annotators=annotators,
        model=model,
        embeddings=embeddings,
        encoder=encoder,
        check=check,
        seed=seed,
        top=top,
        reports=Path("reports"),
        runs=runs,
        workers=workers,
    )
    try:
        with audit_progress() as on_progress:
            results = audit_labels(
                labels,
                probs,
                logits=logits,
                predictions=predictions or None,
                data=data,
                output=output,
                options=replace(options, on_progress=on_progress),
            )
    except RunsFailedError as error:
        write(f"failed: {error}", error=True)
        return RUNS_FAILED
    write(show_audit(results))
    return DONE


def _refuse_options(context: typer.Context, command: str) -> int:
    """Refuse options of an audit before the name of another command, which would not use them."""
    for name in context.params:
        if str(getattr(context.get_parameter_source(name), "name", "DEFAULT")) != "DEFAULT":
            raise fail(f"--{name.replace('_', '-')}", f"not used before `audit {command}`", "it", "leave it out")
    return DONE


def show_audit(results: "AuditResults") -> list[str]:
    """Return lines: what was found, the recommendation and the page."""
    audited, noise, suspects = results.audited, results.noise, results.ranking.suspects
    rate, names = noise.rate, audited.class_names
    ends = f"{100 * rate.low:.1f} % to {100 * rate.high:.1f} %"
    said = f"{100 * rate.estimate:.1f} %, range {ends}" if noise.told else f"cannot be told; range {ends}"
    lines = [
        f"{audited.num_rows:,} labels of {audited.name}, {len(names)} classes; "
        f"the held-out predictions agree with {100 * audited.agreement:.1f} % of them",
    ]
    advice = f"recommended: {results.recommendation.action}. {' '.join(results.recommendation.reason)}"
    if not results.informative:
        return [*lines, advice, f"page: {results.page}"]
    lines.append(f"estimated wrong: {said}")
    if noise.reference is not None:
        lines.append(
            f"wrong according to the reference: {100 * noise.reference.noise_rate:.1f} %; "
            f"total variation between T and the reference: {noise.estimate.mean_distance:.3f} (mean over the classes)"
        )
    if noise.confusions:
        lines.append("most confused classes (true -> label):")
    for pair in noise.confusions[:_SHOWN]:
        clean, observed = (" ".join(names[index].split()) for index in (pair.clean, pair.observed))
        lines.append(f"  {clean} -> {observed}: {pair.count.estimate:,.0f}")
    lines.append(f"suspects: {len(suspects):,} labels that are most probably wrong")
    if results.annotators is not None:
        alpha = results.annotators.alpha
        lines.append(f"annotators: Krippendorff's alpha {alpha.estimate:.3f} ({alpha.low:.3f} to {alpha.high:.3f})")
        for one in results.annotators.annotators:
            wrong = one.error_rate
            lines.append(
                f"  {one.name}: {100 * wrong.estimate:.1f} % wrong ({100 * wrong.low:.1f} to {100 * wrong.high:.1f})"
            )
    return [*lines, advice, f"page: {results.page}"]
