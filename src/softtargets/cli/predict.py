"""The command `predict`: arguments in, messages out."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softtargets.cli.progress import StageLines
from softtargets.cli.terminal import write

if TYPE_CHECKING:
    from softtargets.train import Predicted


class SplitName(StrEnum):
    """Parts of a data set."""

    train = "train"
    validation = "validation"
    test = "test"
    all = "all"


def predict(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="Folder of a finished run, or the first digits of its name in --runs.")
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
            help="File of the predictions: .safetensors, .npz, .parquet or .csv. Overwritten if it exists.",
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
        typer.Option(help="Part of DATA to predict (default: test if DATA has such a part, otherwise all)."),
    ] = None,
    probs: Annotated[bool, typer.Option("--probs", help="Write probabilities instead of logits.")] = False,
    selected: Annotated[
        bool,
        typer.Option(
            "--selected", help="Use the weights of the epoch that did best on the validation split (default: the last)."
        ),
    ] = False,
    no_labels: Annotated[bool, typer.Option("--no-labels", help="Leave the labels of DATA out.")] = False,
) -> None:
    """Predict a data set with a trained run, and write a file that `evaluate` and `audit` read."""
    from softtargets.train import PredictOptions, predict_run

    options = PredictOptions(
        label=label,
        image=image,
        text=text,
        features=tuple(features or ()),
        split=None if split is None else split.value,  # pyright: ignore[reportArgumentType]
        probs=probs,
        labels=False if no_labels else None,
        selected=selected,
    )
    write(show_predicted(predict_run(run, data, output, runs=runs, options=options, on_rows=_shown())))


def _shown() -> Callable[[int], None]:
    lines = StageLines()
    return lambda rows: lines("predicting", f": {rows:,} rows")


def show_predicted(predicted: "Predicted") -> list[str]:
    """Return lines: what was predicted, the accuracy, the file, and what to do with it."""
    from softtargets.report.numbers import count, number

    splits = f" ({' and '.join(predicted.splits)} split)" if predicted.splits else ""
    words = [f"{count(predicted.num_rows, 'row')} of {predicted.data}{splits}, {len(predicted.class_names):,} classes"]
    if predicted.accuracy is not None:
        words.append(f"accuracy {number(predicted.accuracy, 'percent')} %")
    lines = [", ".join(words), f"saved in {predicted.path}"]
    return lines + (
        ["without labels"] if predicted.accuracy is None else [f"next: softtargets evaluate {predicted.path}"]
    )
