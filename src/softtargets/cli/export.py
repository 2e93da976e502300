"""The command `export`: arguments in, messages out."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softtargets.cli.terminal import write

if TYPE_CHECKING:
    from softtargets.export import Exported


class FormatName(StrEnum):
    """Formats of an exported classifier."""

    onnx = "onnx"
    torch = "torch"
    packed = "packed"


def export(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="Folder of a finished run or ensemble, or the first digits of its name in --runs."
        ),
    ],
    output: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder to write into.")],
    to: Annotated[
        list[FormatName] | None,
        typer.Option(
            help="onnx: a program for ONNX runtimes (model.onnx); torch: one of torch.export (model.pt2); packed: "
            "safetensors and TOML, for softtargets.export.load_packed. Can be repeated (default: packed)."
        ),
    ] = None,
    calibrator: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="What calibrates the probabilities: see `softtargets predict --help`; none: nothing (default: "
            "temperature-scaling; an ensemble keeps the calibrator that it was trained with).",
            show_default=False,
        ),
    ] = "default",
    selected: Annotated[
        bool,
        typer.Option(
            "--selected", help="Use the weights of the epoch that did best on the validation split (default: the last)."
        ),
    ] = False,
    card: Annotated[bool, typer.Option(help="Write the model card, card.md.")] = True,
    audit: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Audit of the training labels, whose noise estimate the card shows."),
    ] = None,
    runs: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of the run store.")] = Path("runs"),
) -> None:
    """Export a trained run or ensemble with its preprocessing and calibrator, and write its model card."""
    from softtargets.export import ExportOptions, export_run

    chosen = None if calibrator == "none" else calibrator
    options = ExportOptions(calibrator=chosen, selected=selected, card=card, audit=audit)
    formats = ("packed",) if to is None else [name.value for name in to]
    exported = export_run(run, output, formats, runs=runs, options=options)
    for warning in exported.warnings:
        typer.echo(f"warning: {warning}", err=True)
    write(show_exported(exported))


def show_exported(exported: "Exported") -> list[str]:
    """Return lines: the calibrator, how far the programs are from the module, and the files."""
    lines = [f"calibrated by {exported.calibrator}" if exported.calibrator else "not calibrated"]
    lines += [
        f"{name}: probabilities within {worst:.1e} of the module's" for name, worst in exported.differences.items()
    ]
    return [*lines, f"saved in {exported.folder}: {', '.join(exported.files)}"]
