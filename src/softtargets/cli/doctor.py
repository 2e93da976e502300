"""The command `doctor`: arguments in, a diagnosis as text or JSON out."""

import sys
from json import dumps
from typing import TYPE_CHECKING, Annotated, Any

import typer

from softtargets._errors import fail
from softtargets.cli.imports import without_collections
from softtargets.cli.terminal import write

if TYPE_CHECKING:
    from rich.console import RenderableType

    from softtargets.doctor import Diagnosis, FaultFinding, TargetRow


def doctor(
    torch: Annotated[
        str | None, typer.Option(metavar="CALL", help='Loss of torch.nn: "CrossEntropyLoss(label_smoothing=0.1)".')
    ] = None,
    keras: Annotated[
        str | None,
        typer.Option(metavar="CALL", help='Loss of keras.losses: "CategoricalCrossentropy(from_logits=True)".'),
    ] = None,
    timm: Annotated[
        str | None, typer.Option(metavar="OPTIONS", help='Options of timm\'s train.py: "--smoothing 0.1 --mixup 0.8".')
    ] = None,
    transformers: Annotated[
        str | None, typer.Option(metavar="FILE", help="JSON file of transformers' TrainingArguments.")
    ] = None,
    fairseq: Annotated[
        str | None,
        typer.Option(
            metavar="OPTIONS",
            help='Options of fairseq-train: "--criterion label_smoothed_cross_entropy --label-smoothing 0.1".',
        ),
    ] = None,
    opennmt: Annotated[
        str | None, typer.Option(metavar="FILE|OPTIONS", help="YAML file of OpenNMT-py, or options of its training.")
    ] = None,
    classes: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="K",
            help="Number of classes, 1 for one binary output (default: that of the weights, or a usual one).",
        ),
    ] = None,
    library_version: Annotated[
        str | None,
        typer.Option(
            metavar="VERSION", help="Version of the library (default: the installed one, or the one that was checked)."
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what a loss of another library computes, which known faults apply, and what to write instead."""
    given = {
        "torch": torch,
        "keras": keras,
        "timm": timm,
        "transformers": transformers,
        "fairseq": fairseq,
        "opennmt": opennmt,
    }
    chosen = {library: snippet for library, snippet in given.items() if snippet is not None}
    if len(chosen) != 1:
        got = ", ".join(f"--{library}" for library in chosen) or "none"
        required = f"one of {', '.join(f'--{library}' for library in given)}"
        raise fail("doctor", required, got, "give the configuration of one library")
    with without_collections():
        from softtargets.doctor import diagnose

    ((library, snippet),) = chosen.items()
    found = diagnose(library, snippet, num_classes=classes, version=library_version)
    if json:
        _print_json(found)
    else:
        _print(found)


def _print_json(found: "Diagnosis") -> None:
    # in ASCII, which any terminal can show
    write(dumps(found.to_dict(), indent=2, allow_nan=False).splitlines())


def _print(found: "Diagnosis") -> None:
    from rich.console import Console

    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    for part in _parts(found):
        console.print(part)
    for heading, text, note in _code(found):
        console.print()
        console.print(_text(heading, "bold"))
        if note:
            console.print(_text(f"  {note}"))
        # never wrapped, so that it can be copied
        console.print("\n".join(f"    {_text(line)}".rstrip() for line in text.splitlines()), soft_wrap=True)


def _parts(found: "Diagnosis") -> "list[RenderableType]":
    """Return the sections in order: targets, statements, faults."""
    title = f"{found.loss} ({found.library} {found.version}), K = {found.num_classes:,}"
    if found.assumed_classes:
        title += " is assumed; give --classes"
    parts: list[RenderableType] = [_text(title, "bold"), ""]
    if found.rows:
        heading = "Target of a label, and the predicted probabilities at which its loss is least (minimiser):"
        parts += [_text(heading), _table(found), ""]
    parts += [_sentence(each.topic, each.text) for each in found.statements]
    parts += [_sentence("note", note) for note in found.notes]
    if found.not_read:
        parts.append(_sentence("not read", ", ".join(found.not_read)))
    heading = "Known faults" if found.findings else "No known fault applies."
    return [*parts, "", _text(heading, "bold"), *(_fault(each) for each in found.findings)]


def _code(found: "Diagnosis") -> list[tuple[str, str, str | None]]:
    """Return headings, code, and what to know about it."""
    code = found.equivalent
    parts = (
        ("With softtargets", code.code, code.note),
        ("With softtargets, and the numbers of the library", code.same_numbers, None),
        ("In a specification for softtargets train", code.toml, code.toml_note),
    )
    return [(heading, text or "", note) for heading, text, note in parts if text or note]


def _text(text: str, style: str = "") -> Any:
    from rich.text import Text

    from softtargets.report.encoding import printable

    encoding = sys.stdout.encoding or "utf-8"
    return Text(printable(text).encode(encoding, "backslashreplace").decode(encoding), style=style)


def _sentence(topic: str, text: str) -> Any:
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    grid.add_column(width=16)
    grid.add_column()
    grid.add_row(_text(topic), _text(text))
    return grid


def _table(found: "Diagnosis") -> Any:
    from rich.table import Table

    table = Table()
    for name in ("label", "", *found.columns, "sum"):
        table.add_column(name, justify="left" if name in ("label", "") else "right")
    for row in found.rows:
        for cells in _cells(row):
            table.add_row(*cells)
    return table


def _cells(row: "TargetRow") -> list[tuple[str, ...]]:
    label = "any" if row.label is None else str(row.label)
    least = ("minimiser", *(f"{value:.4g}" for value in row.minimiser or ()), "")
    if row.minimiser is None:
        least = ("minimiser", "none")
    target = ("target", *(f"{value:.4g}" for value in row.target), f"{row.total:.4g}")
    return [(label, *target), ("", *least)]


def _fault(finding: "FaultFinding") -> Any:
    from rich.console import Group
    from rich.padding import Padding

    when = "" if finding.condition is None else f"{finding.condition[0].upper()}{finding.condition[1:]}: "
    versions = f" [{finding.versions}]" if finding.versions else ""
    text = _text(f"* {finding.title}{versions} ({finding.name}, changes the {finding.affects})", "bold")
    lines = [f"{when}{finding.effect}", f"Instead: {finding.remedy}."]
    if finding.link is not None:
        lines.append(f"{finding.issue}: {finding.link}")
    return Group(
        Padding(text, (0, 0, 0, 2), expand=False), *(Padding(_text(line), (0, 0, 0, 4), expand=False) for line in lines)
    )
