"""The commands: arguments in, messages out."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softtargets.cli.audit import audit
from softtargets.cli.errors import DONE, EXIT_CODES, RUNS_FAILED
from softtargets.cli.evaluate import evaluate

if TYPE_CHECKING:
    from softtargets.studies.job import StudyOutcome, StudyRequest


class Scale(StrEnum):
    """The sizes of a study."""

    smoke = "smoke"
    desk = "desk"
    paper = "paper"


app = typer.Typer(
    name="softtargets",
    help="Train, correct, calibrate and distil classifiers whose labels are soft, smoothed or wrong.",
    epilog=f"--debug, anywhere, shows the traceback of an error. {EXIT_CODES}",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

StudyArgument = Annotated[str, typer.Argument(help="A study's name, or a folder with a study.toml.")]
OutputArgument = Annotated[
    str | None, typer.Argument(help="One table or figure of it, or a setting of its own, such as cifar10; all without.")
]
ScaleOption = Annotated[Scale, typer.Option(help="How large: seconds, minutes, or as in the paper.")]
SeedsOption = Annotated[int | None, typer.Option(min=2, help="How many seeds; as the scale says without.")]
DataOption = Annotated[
    str | None, typer.Option(help="A data set instead of the study's: digits, a file or folder, or a hub name.")
]
LabelOption = Annotated[str | None, typer.Option(help="The label column of --data.")]
AtOption = Annotated[
    list[str] | None,
    typer.Option(help="NAME=PATH: where the data set lies that the study calls NAME; may be given again for another."),
]
RunsOption = Annotated[Path, typer.Option(help="Where runs are kept.")]
ReportsOption = Annotated[Path, typer.Option(help="Where pages go.")]


@app.command("list")
def list_command() -> None:
    """List the studies and their outputs."""
    from softtargets.cli.outputs import show_outputs
    from softtargets.studies.listing import list_studies

    for study in list_studies():
        paper = study.paper
        typer.echo(f"{study.name}  {paper.authors} {paper.year}: {study.title}")
        typer.echo("\n".join(show_outputs(study)))


@app.command()
def show(
    study: StudyArgument,
    output: OutputArgument = None,
    scale: ScaleOption = Scale.desk,
    seeds: SeedsOption = None,
    data: DataOption = None,
    label: LabelOption = None,
    at: AtOption = None,
    runs: RunsOption = Path("runs"),
) -> None:
    """Show a study: its paper, what differs from it, its runs at a scale and an estimate of their time."""
    from softtargets.cli.render import show_description
    from softtargets.studies.describe import describe_study

    request = _request(study, output, scale, seeds, data, label, at, runs, Path("reports"))
    typer.echo(show_description(describe_study(request), request))


@app.command()
def run(
    study: StudyArgument,
    output: OutputArgument = None,
    scale: ScaleOption = Scale.desk,
    seeds: SeedsOption = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; one per core without.")] = None,
    data: DataOption = None,
    label: LabelOption = None,
    at: AtOption = None,
    runs: RunsOption = Path("runs"),
    reports: ReportsOption = Path("reports"),
) -> int:
    """Run a study: train what is missing, then write its page. Killed, it goes on where it stopped."""
    from softtargets.cli.progress import shown_progress
    from softtargets.studies.job import run_study

    request = _request(study, output, scale, seeds, data, label, at, runs, reports)
    typer.echo(f"{study}, {scale} scale: reading the study and its data")
    with shown_progress() as on_progress:
        outcome = run_study(request, workers=workers, on_progress=on_progress)
    return _conclude(outcome)


@app.command()
def report(
    study: StudyArgument,
    output: OutputArgument = None,
    scale: ScaleOption = Scale.desk,
    seeds: SeedsOption = None,
    data: DataOption = None,
    label: LabelOption = None,
    at: AtOption = None,
    runs: RunsOption = Path("runs"),
    reports: ReportsOption = Path("reports"),
) -> int:
    """Write a study's page from what is recorded; train nothing."""
    from softtargets.studies.job import report_study

    return _conclude(report_study(_request(study, output, scale, seeds, data, label, at, runs, reports)))


app.command()(audit)
app.command()(evaluate)


@app.command()
def train(
    specification: Annotated[Path, typer.Argument(help="A TOML file: data, model, objective, training, ...")],
    runs: RunsOption = Path("runs"),
) -> int:
    """Train one run of your own from a specification."""
    from softtargets.cli.progress import shown_progress
    from softtargets.cli.render import show_metrics
    from softtargets.train import train_run

    with shown_progress() as on_progress:
        trained = train_run(specification, runs=runs, on_progress=on_progress)
    if trained.status == "failed":
        typer.echo(f"failed: {trained.message}", err=True)
        return RUNS_FAILED
    typer.echo(show_metrics(trained.metrics))
    typer.echo(f"{'kept already' if trained.status == 'present' else 'kept'} in {trained.folder}")
    return DONE


@app.command()
def version() -> None:
    """Print the version."""
    import softtargets

    typer.echo(f"softtargets {softtargets.__version__}")


def _request(
    study: str,
    output: str | None,
    scale: Scale,
    seeds: int | None,
    data: str | None,
    label: str | None,
    at: list[str] | None,
    runs: Path,
    reports: Path,
) -> "StudyRequest":
    from softtargets._errors import fail
    from softtargets.studies.expand import DataChoice
    from softtargets.studies.job import StudyRequest

    if label is not None and data is None:
        raise fail("--label", "given with --data", f"'{label}' alone", "name the data set too")
    choice = None if data is None else DataChoice(data, label)
    return StudyRequest(study, output, str(scale), seeds, choice, tuple(map(_place, at or ())), runs, reports)


def _place(text: str) -> tuple[str, str]:
    from softtargets._errors import fail

    name, sign, path = text.partition("=")
    if not (name and sign and path):
        raise fail("--at", "NAME=PATH", f"'{text}'", "write the study's name of the data set, '=', and where it lies")
    return name, path


def _conclude(outcome: "StudyOutcome") -> int:
    from softtargets.cli.render import show_outcome

    typer.echo(show_outcome(outcome))
    return RUNS_FAILED if outcome.failed else DONE
