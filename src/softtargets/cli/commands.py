"""The commands: arguments in, messages out."""

from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from inspect import Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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

RunsOption = Annotated[Path, typer.Option(help="Folder of the run store.")]
ReportsOption = Annotated[Path, typer.Option(help="Folder of the pages.")]


def _asked(
    study: Annotated[str, typer.Argument(help="A study's name, or a folder with a study.toml.")],
    output: Annotated[
        str | None, typer.Argument(help="One table, figure or setting, such as cifar10 (default: all).")
    ] = None,
    scale: Annotated[
        ScaleName, typer.Option(help="Size of the study: smoke (seconds), desk (minutes) or paper.")
    ] = ScaleName.desk,
    seeds: Annotated[int | None, typer.Option(min=2, help="Number of seeds (default: set by --scale).")] = None,
    data: Annotated[
        str | None, typer.Option(help="A data set instead of the study's: digits, a file or folder, or a hub name.")
    ] = None,
    label: Annotated[str | None, typer.Option(help="The label column of --data.")] = None,
    at: Annotated[
        list[str] | None,
        typer.Option(help="NAME=PATH: path of the data set that the study calls NAME; may be repeated."),
    ] = None,
    runs: RunsOption = Path("runs"),
) -> dict[str, Any]:
    """Return what the user asked of a study, as the arguments of the functions of `softtargets.studies`."""
    places: dict[str, str] = {}
    for text in at or ():
        name, sign, path = text.partition("=")
        if not (name and sign and path):
            remedy = "write the study's name of the data set, '=', and where it lies"
            raise fail("--at", "NAME=PATH", f"'{text}'", remedy)
        places[name] = path
    named = {"study": study, "output": output, "scale": scale, "seeds": seeds}
    return {**named, "data": data, "label": label, "places": places, "runs": runs}


def _of_study(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the parameters of :func:`_asked`, and call it with what that returns before its own."""
    shared, (_, *own) = signature(_asked).parameters, signature(command).parameters.values()

    @wraps(command)
    def called(**given: Any) -> Any:
        return command(_asked(**{name: given.pop(name) for name in shared}), **given)

    taken = [*shared.values(), *own]
    called.__signature__ = Signature(taken)  # pyright: ignore[reportAttributeAccessIssue]
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in taken}
    return called


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
@_of_study
def show(asked: dict[str, Any]) -> None:
    """Show a study: its paper, what differs from it, its runs at a scale and an estimate of their time."""
    from softtargets.cli.render import show_description
    from softtargets.studies import describe_study

    typer.echo(show_description(describe_study(**asked)))


@app.command()
@_of_study
def run(
    asked: dict[str, Any],
    reports: ReportsOption = Path("reports"),
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes (default: one per core).")] = None,
) -> int:
    """Run a study: train what is missing, then write its page. Resumes interrupted runs."""
    from softtargets.cli.progress import shown_progress
    from softtargets.studies import run_study

    typer.echo(f"{asked['study']}, {asked['scale']} scale: reading the study and its data")
    with shown_progress() as on_progress:
        outcome = run_study(**asked, reports=reports, workers=workers, on_progress=on_progress)
    return _conclude(outcome)


@app.command()
@_of_study
def report(asked: dict[str, Any], reports: ReportsOption = Path("reports")) -> int:
    """Write a study's page from what is recorded; train nothing."""
    from softtargets.studies import report_study

    return _conclude(report_study(**asked, reports=reports))


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
    from softtargets.report.numbers import duration
    from softtargets.train import train_run

    def say_estimate(seconds: float) -> None:
        typer.echo(f"about {duration(seconds)} on this machine, from steps measured just now", err=True)

    with shown_progress() as on_progress:
        trained = train_run(specification, runs=runs, on_progress=on_progress, on_estimate=say_estimate)
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


def _conclude(outcome: "StudyOutcome") -> int:
    from softtargets.cli.render import show_outcome

    typer.echo(show_outcome(outcome))
    return RUNS_FAILED if outcome.failed else DONE
