"""The commands: arguments in, messages out."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softtargets._errors import fail
from softtargets.cli.audit import audit
from softtargets.cli.errors import DONE, EXIT_CODES, RUNS_FAILED
from softtargets.cli.evaluate import evaluate

if TYPE_CHECKING:
    from softtargets.studies import StudyOutcome


class ScaleName(StrEnum):
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
    str | None, typer.Argument(help="One table, figure or setting, such as cifar10 (default: all).")
]
ScaleOption = Annotated[ScaleName, typer.Option(help="Size of the study: smoke (seconds), desk (minutes) or paper.")]
SeedsOption = Annotated[int | None, typer.Option(min=2, help="Number of seeds (default: set by --scale).")]
DataOption = Annotated[
    str | None, typer.Option(help="A data set instead of the study's: digits, a file or folder, or a hub name.")
]
LabelOption = Annotated[str | None, typer.Option(help="The label column of --data.")]
AtOption = Annotated[
    list[str] | None,
    typer.Option(help="NAME=PATH: path of the data set that the study calls NAME; may be repeated."),
]
RunsOption = Annotated[Path, typer.Option(help="Folder of the run store.")]
ReportsOption = Annotated[Path, typer.Option(help="Folder of the pages.")]


@app.command("list")
def list_command() -> None:
    """List the studies and their outputs."""
    from softtargets.cli.outputs import show_outputs
    from softtargets.studies.catalog import list_studies

    for study in list_studies():
        paper = study.paper
        typer.echo(f"{study.name}  {paper.authors} {paper.year}: {study.title}")
        typer.echo("\n".join(show_outputs(study)))


@app.command()
def show(
    study: StudyArgument,
    output: OutputArgument = None,
    scale: ScaleOption = ScaleName.desk,
    seeds: SeedsOption = None,
    data: DataOption = None,
    label: LabelOption = None,
    at: AtOption = None,
    runs: RunsOption = Path("runs"),
) -> None:
    """Show a study: its paper, what differs from it, its runs at a scale and an estimate of their time."""
    from softtargets.cli.render import show_description
    from softtargets.studies import describe_study

    found = describe_study(
        study, output, scale=scale, seeds=seeds, data=data, label=label, places=_places(at), runs=runs
    )
    typer.echo(show_description(found))


@app.command()
def run(
    study: StudyArgument,
    output: OutputArgument = None,
    scale: ScaleOption = ScaleName.desk,
    seeds: SeedsOption = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes (default: one per core).")] = None,
    data: DataOption = None,
    label: LabelOption = None,
    at: AtOption = None,
    runs: RunsOption = Path("runs"),
    reports: ReportsOption = Path("reports"),
) -> int:
    """Run a study: train what is missing, then write its page. Resumes interrupted runs."""
    from softtargets.cli.progress import shown_progress
    from softtargets.studies import run_study

    places = _places(at)
    typer.echo(f"{study}, {scale} scale: reading the study and its data")
    with shown_progress() as on_progress:
        outcome = run_study(
            study,
            output,
            scale=scale,
            seeds=seeds,
            data=data,
            label=label,
            places=places,
            runs=runs,
            reports=reports,
            workers=workers,
            on_progress=on_progress,
        )
    return _conclude(outcome)


@app.command()
def report(
    study: StudyArgument,
    output: OutputArgument = None,
    scale: ScaleOption = ScaleName.desk,
    seeds: SeedsOption = None,
    data: DataOption = None,
    label: LabelOption = None,
    at: AtOption = None,
    runs: RunsOption = Path("runs"),
    reports: ReportsOption = Path("reports"),
) -> int:
    """Write a study's page from what is recorded; train nothing."""
    from softtargets.studies import report_study

    outcome = report_study(
        study,
        output,
        scale=scale,
        seeds=seeds,
        data=data,
        label=label,
        places=_places(at),
        runs=runs,
        reports=reports,
    )
    return _conclude(outcome)


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


def _places(at: list[str] | None) -> dict[str, str]:
    places: dict[str, str] = {}
    for text in at or ():
        name, sign, path = text.partition("=")
        if not (name and sign and path):
            remedy = "write the study's name of the data set, '=', and where it lies"
            raise fail("--at", "NAME=PATH", f"'{text}'", remedy)
        places[name] = path
    return places


def _conclude(outcome: "StudyOutcome") -> int:
    from softtargets.cli.render import show_outcome

    typer.echo(show_outcome(outcome))
    return RUNS_FAILED if outcome.failed else DONE
