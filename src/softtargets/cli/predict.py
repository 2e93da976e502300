"""The command `predict`: arguments in, messages out."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from softtargets.cli.progress import StageLines
from softtargets.cli.terminal import write

if TYPE_CHECKING:
    from softtargets.train import Predicted, RunTranslation, TranslateOptions


class SplitName(StrEnum):
    """Parts of a data set."""

    train = "train"
    validation = "validation"
    test = "test"
    all = "all"


def predict(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="Folder of a finished run or of an ensemble, or the first digits of its name in --runs."
        ),
    ],
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="Data set: a file or folder, or a name on the Hugging Face Hub. Labels may be missing. Also an image, "
            "or a folder of images.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="File of the predictions: .safetensors, .npz, .parquet or .csv; of translations .parquet or .csv. "
            "Overwritten if it exists.",
        ),
    ],
    runs: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of the run store.")] = Path("runs"),
    label: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Label column of DATA (default: that of the run, if DATA has it)."),
    ] = None,
    image: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Image column of DATA (default: the only one).")
    ] = None,
    text: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Text column of DATA (default: that of the run).")
    ] = None,
    features: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="Numeric column of DATA; can be repeated (default: those of the run)."),
    ] = None,
    split: Annotated[
        SplitName | None,
        typer.Option(
            help="Part of DATA to predict (default: test if DATA has such a part or is the data set of the run, "
            "otherwise all)."
        ),
    ] = None,
    probs: Annotated[bool, typer.Option("--probs", help="Write probabilities instead of logits.")] = False,
    selected: Annotated[
        bool,
        typer.Option(
            "--selected", help="Use the weights of the epoch that did best on the validation split (default: the last)."
        ),
    ] = False,
    calibrator: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Calibrate the predictions by temperature-scaling, vector-scaling, ensemble-temperature-scaling, "
            "histogram-binning or isotonic-calibration, fitted on the run's validation split; or by a calibrator in a "
            ".safetensors file (default: none).",
        ),
    ] = None,
    no_labels: Annotated[
        bool, typer.Option("--no-labels", help="Leave the labels, or references, of DATA out.")
    ] = False,
    source: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Translation: column or language of the sentences (default: the run's)."),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN", help="Translation: column or language of the references (default: the run's, if any)."
        ),
    ] = None,
    beam: Annotated[
        int | None, typer.Option(metavar="N", help="Translation: beam size, 1 is greedy search (default: 4).", min=1)
    ] = None,
    length_penalty: Annotated[
        float | None, typer.Option(metavar="A", help="Translation: penalty of beam search (default: 0.6).", min=0)
    ] = None,
) -> None:
    """Predict a data set with a trained run or ensemble, and write a file that `evaluate` and `audit` read.

    A run on sentence pairs translates DATA, and writes a table of sources, references, translations and their
    log-probabilities.
    """
    from softtargets.ensembles import find_ensemble, predict_ensemble
    from softtargets.runs.finding import find_run
    from softtargets.train.load import is_translator

    shared = {"split": None if split is None else split.value, "selected": selected}
    of_pairs = {"source": source, "target": target, "beam": beam, "length_penalty": length_penalty}
    of_labels = {"label": label, "image": image, "text": text, "features": features, "probs": probs or None}
    of_labels["calibrator"] = None if calibrator == "none" else calibrator
    is_ensemble = find_ensemble(run, runs) is not None
    if not is_ensemble and is_translator(find_run(run, runs)):
        _refuse(of_labels, "a run that predicts labels", "a run on sentence pairs")
        settings = _translation(of_pairs, {**shared, "references": False if no_labels else None})
        _translate(run, data, output, runs, settings)
        return
    _refuse(of_pairs, "a run on sentence pairs", "a run that is not on sentence pairs")
    from softtargets.train import PredictOptions, predict_run

    told = {**of_labels, "features": tuple(features or ()), "probs": probs, "labels": False if no_labels else None}
    options = PredictOptions(**told, **shared)  # pyright: ignore[reportArgumentType]
    call = predict_ensemble if is_ensemble else predict_run
    write(show_predicted(call(run, data, output, runs=runs, options=options, on_rows=_shown("predicting"))))


def _translation(of_pairs: dict[str, Any], others: dict[str, Any]) -> "TranslateOptions":
    from softtargets.models.decoding import Search
    from softtargets.train import TranslateOptions

    columns = {name: of_pairs[name] for name in ("source", "target")}
    given = {name: of_pairs[name] for name in ("beam", "length_penalty") if of_pairs[name] is not None}
    return TranslateOptions(**columns, **others, search=Search(**given))


def _translate(run: str, data: str, output: Path, runs: Path, options: "TranslateOptions") -> None:
    from softtargets.train import translate_run

    translated = translate_run(run, data, output, runs=runs, options=options, on_rows=_shown("translating"))
    write(show_translated(translated))


def _refuse(options: dict[str, Any], kind: str, got: str) -> None:
    """Refuse options that have no meaning for a run."""
    from softtargets._errors import fail

    for name, value in options.items():
        if value is not None:
            raise fail("--" + name.replace("_", "-"), f"given for {kind} only", got, "leave the option out")


def _shown(stage: str) -> Callable[[int], None]:
    lines = StageLines()
    return lambda rows: lines(stage, f": {rows:,} rows")


def show_translated(translated: "RunTranslation") -> list[str]:
    """Return lines: what was translated and how, the BLEU, and the file."""
    from softtargets.report.numbers import count

    splits = f" ({' and '.join(translated.splits)} split)" if translated.splits else ""
    search = translated.search
    how = "greedy search" if search.beam == 1 else f"beam {search.beam}, length penalty {search.length_penalty:g}"
    lines = [f"{count(translated.num_rows, 'row')} of {translated.data}{splits}, {how}"]
    if translated.unfinished:
        lines.append(f"{count(translated.unfinished, 'translation')} without an end, as long as allowed")
    if translated.bleu is not None:
        lines.append(f"BLEU {translated.bleu.score:.2f} ({translated.bleu.signature})")
    return [*lines, f"saved in {translated.path}"]


def show_predicted(predicted: "Predicted") -> list[str]:
    """Return lines: what was predicted, the accuracy, the file, and what to do with it."""
    from softtargets.report.numbers import count, number

    splits = f" ({' and '.join(predicted.splits)} split)" if predicted.splits else ""
    words = [f"{count(predicted.num_rows, 'row')} of {predicted.data}{splits}, {len(predicted.class_names):,} classes"]
    if predicted.accuracy is not None:
        words.append(f"accuracy {number(predicted.accuracy, 'percent')} %")
    lines = [", ".join(words)]
    if predicted.calibrator is not None:
        lines.append(f"calibrated by {predicted.calibrator}")
    lines.append(f"saved in {predicted.path}")
    return lines + (
        ["without labels"] if predicted.accuracy is None else [f"next: softtargets evaluate {predicted.path}"]
    )
