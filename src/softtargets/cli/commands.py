"""The commands: arguments in, messages out."""

import tomllib
from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import wraps
from inspect import Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from softtargets._errors import fail
from softtargets.cli.audit import audit
from softtargets.cli.compare import compare
from softtargets.cli.doctor import doctor
from softtargets.cli.errors import DONE, EXIT_CODES, RUNS_FAILED
from softtargets.cli.evaluate import evaluate
from softtargets.cli.export import export
from softtargets.cli.imports import without_collections
from softtargets.cli.predict import predict
from softtargets.cli.review import export_command, import_command
from softtargets.cli.runs import runs_command
from softtargets.cli.terminal import write
from softtargets.cli.tune import tune
from softtargets.studies.request import MOST_SEEDS

if TYPE_CHECKING:
    from softtargets.studies import StudyOutcome


class ScaleName(StrEnum):
    """Sizes of a study."""

    smoke = "smoke"
    desk = "desk"
    paper = "paper"


app = typer.Typer(
    name="softtargets",
    help="Train, correct, calibrate and distil classifiers with soft, smoothed or noisy labels.",
    epilog=f"Add --debug to any command to see the traceback of an error. {EXIT_CODES}",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

RunsOption = Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of the run store.")]
ReportsOption = Annotated[Path, typer.Option(metavar="FOLDER", help="Folder for the study pages.")]
WorkersOption = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Worker processes (default: one per core).")
]


def _study_options(
    study: Annotated[
        str, typer.Argument(metavar="STUDY", help="Name of a study (see `list`), or a folder with a study.toml.")
    ],
    output: Annotated[
        str | None,
        typer.Argument(
            metavar="OUTPUT",
            help="Table, figure or optional group of outputs (default: all outputs outside optional groups).",
        ),
    ] = None,
    scale: Annotated[
        ScaleName, typer.Option(help="Size of the study: smoke takes seconds, desk minutes, paper is full size.")
    ] = ScaleName.desk,
    seeds: Annotated[
        int | None,
        typer.Option(min=2, metavar="N", help=f"Number of seeds, at most {MOST_SEEDS:,} (default: set by --scale)."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            help="Data set to use instead of the study's: digits, a file or folder, or a name on the Hugging Face Hub.",
        ),
    ] = None,
    label: Annotated[str | None, typer.Option(metavar="COLUMN", help="Label column of --data.")] = None,
    at: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PATH",
            help="Local path of one of the study's data sets, by its name in the study; can be repeated.",
        ),
    ] = None,
    runs: RunsOption = Path("runs"),
) -> dict[str, Any]:
    """Return the study and its options as keyword arguments of the functions of `softtargets.studies`."""
    places: dict[str, str] = {}
    for text in at or ():
        name, sign, path = text.partition("=")
        if not (name and sign and path):
            remedy = "give the name of the data set in the study, '=' and its path"
            raise fail("--at", "NAME=PATH", f"'{text}'", remedy)
        places[name] = path
    named = {"study": study, "output": output, "scale": scale, "seeds": seeds}
    return {**named, "data": data, "label": label, "places": places, "runs": runs}


def _executor(name: str | None, settings: Sequence[str]) -> dict[str, Any] | None:
    """Return an executor's table; a value is read as TOML, or as text if it is not TOML."""
    if name is None:
        if settings:
            raise fail("--executor-option", "given with --executor", f"'{settings[0]}' alone", "add --executor NAME")
        return None
    table: dict[str, Any] = {"name": name}
    for text in settings:
        key, sign, value = text.partition("=")
        if not (key and sign and value):
            raise fail("--executor-option", "KEY=VALUE", f"'{text}'", "give a setting, '=' and its value")
        try:
            table[key] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            table[key] = value
    return table


def _of_study(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the parameters of :func:`_study_options`; it receives their dictionary as first argument."""
    shared, (_, *own) = signature(_study_options).parameters, signature(command).parameters.values()

    @wraps(command)
    def called(**given: Any) -> Any:
        return command(_study_options(**{name: given.pop(name) for name in shared}), **given)

    taken = [*shared.values(), *own]
    called.__signature__ = Signature(taken)  # pyright: ignore[reportAttributeAccessIssue]
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in taken}
    return called


@app.command("list")
def list_command() -> None:
    """List the studies and their outputs."""
    with without_collections():
        from softtargets.cli.outputs import show_outputs
        from softtargets.studies.catalog import list_studies

    for study in list_studies():
        paper = study.paper
        write(f"{study.name}  {paper.authors} {paper.year}: {study.title}")
        write(show_outputs(study))


@app.command()
@_of_study
def show(
    options: dict[str, Any],
    power: Annotated[
        bool, typer.Option("--power", help="Train a small pilot and show how many seeds each claim needs.")
    ] = False,
    pilot_seeds: Annotated[int, typer.Option(min=2, max=100, metavar="N", help="Number of seeds of the pilot.")] = 4,
    reports: ReportsOption = Path("reports"),
    workers: WorkersOption = None,
) -> None:
    """Show a study: paper, outputs, differences from the paper, runs and estimated time."""
    with without_collections():
        from softtargets.cli.progress import shown_progress
        from softtargets.cli.render import show_description, show_power
        from softtargets.studies import describe_study, estimate_power

    if not power:
        write(show_description(describe_study(**options)))
        return
    with shown_progress() as on_progress:
        found = estimate_power(
            **options, reports=reports, pilot_seeds=pilot_seeds, workers=workers, on_progress=on_progress
        )
    write(show_power(found))


@app.command()
@_of_study
def run(
    options: dict[str, Any],
    reports: ReportsOption = Path("reports"),
    workers: WorkersOption = None,
    executor: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Train on a cluster: joblib, dask or submitit (default: processes of this machine)."
        ),
    ] = None,
    executor_option: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Setting of --executor, such as minutes=120; can be repeated."),
    ] = None,
) -> int:
    """Run a study: train missing runs and write its page. Resumes interrupted runs."""
    with without_collections():
        from softtargets.cli.progress import shown_progress
        from softtargets.studies import run_study

    where = _executor(executor, executor_option or [])
    write(f"{options['study']}, {options['scale']} scale: loading the study and its data")
    with shown_progress() as on_progress:
        outcome = run_study(**options, reports=reports, workers=workers, executor=where, on_progress=on_progress)
    return _conclude(outcome)


@app.command()
@_of_study
def report(options: dict[str, Any], reports: ReportsOption = Path("reports"), workers: WorkersOption = None) -> int:
    """Write a study's page from finished runs, without training."""
    with without_collections():
        from softtargets.cli.progress import shown_progress
        from softtargets.studies import report_study

    with shown_progress() as on_progress:
        outcome = report_study(**options, reports=reports, workers=workers, on_progress=on_progress)
    return _conclude(outcome)


audit_app = typer.Typer(invoke_without_command=True)
audit_app.callback()(audit)
audit_app.command("export")(export_command)
audit_app.command("import")(import_command)
app.add_typer(audit_app, name="audit")
app.command()(evaluate)
app.command()(compare)
app.command("runs")(runs_command)
app.command()(predict)
app.command()(export)
app.command()(doctor)
app.command()(tune)


@app.command()
def train(
    specification: Annotated[
        Path, typer.Argument(metavar="FILE", help="TOML file with the tables data, model, objective, training, ...")
    ],
    unlabelled: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A second file of the same columns, whose rows are used without labels."),
    ] = None,
    runs: RunsOption = Path("runs"),
) -> int:
    """Train one run from a specification file, or with a table `ensemble` all members of an ensemble."""
    with without_collections():
        from softtargets._spec import read_toml
        from softtargets.cli.progress import shown_progress
        from softtargets.cli.render import show_metrics
        from softtargets.report.numbers import duration
        from softtargets.train import train_run

    if "ensemble" in read_toml(specification):
        return _train_ensemble(specification, unlabelled, runs)

    def say_estimate(seconds: float) -> None:
        typer.echo(f"estimated time on this machine: {duration(seconds)} (from a few measured steps)", err=True)

    with shown_progress() as on_progress:
        trained = train_run(
            specification, unlabelled=unlabelled, runs=runs, on_progress=on_progress, on_estimate=say_estimate
        )
    if trained.status == "failed":
        write(f"failed: {trained.message}", error=True)
        return RUNS_FAILED
    write(show_metrics(trained.metrics))
    write(f"{'already present' if trained.status == 'present' else 'saved'} in {trained.folder}")
    return DONE


def _train_ensemble(specification: Path, unlabelled: Path | None, runs: Path) -> int:
    from softtargets.cli.ensembles import show_ensemble
    from softtargets.cli.progress import shown_progress
    from softtargets.ensembles import train_ensemble

    with shown_progress() as on_progress:
        results = train_ensemble(specification, unlabelled=unlabelled, runs=runs, on_progress=on_progress)
    for message in results.failures:
        write(f"failed: {message}", error=True)
    if results.failures:
        return RUNS_FAILED
    write(show_ensemble(results))
    return DONE


@app.command()
def version() -> None:
    """Print the versions of softtargets, torch and Python, and whether the compiled kernels are in use."""
    import importlib.metadata
    import platform

    from softtargets._native.loading import find

    for package in ("softtargets", "torch"):
        write(f"{package} {importlib.metadata.version(package)}")
    write(f"python {platform.python_version()}")
    write(f"kernels: {find()[1]}")


def _conclude(outcome: "StudyOutcome") -> int:
    from softtargets.cli.render import show_outcome

    write(show_outcome(outcome))
    return RUNS_FAILED if outcome.failed else DONE
