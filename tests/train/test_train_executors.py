"""Runs on Dask, joblib's backends and submitit: the same bits, teachers first, errors and lost workers."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from joblib.externals.loky.process_executor import TerminatedWorkerError

from softtargets._errors import InputError
from softtargets.data import fingerprint
from softtargets.runs.spec import ResolvedRun, RunSpec
from softtargets.runs.store import HISTORY, MODEL, PREDICTIONS, RunStore
from softtargets.train.execute import Outcome, execute, resolve
from softtargets.train.executors import (
    EXECUTORS,
    DaskExecutor,
    Job,
    JoblibExecutor,
    SubmititExecutor,
    executor_of,
)
from softtargets.train.schedule import train_all

TEACHER = {
    "data": {"name": "digits", "limit": {"train": 120, "validation": 40, "test": 60}},
    "model": {"name": "mlp", "hidden": [16]},
    "training": {"epochs": 3, "batch_size": 32, "precision": "float32"},
}
STUDENTS = [
    {**TEACHER, "objective": {"name": "distillation"}, "teachers": [TEACHER], "seeds": {"initialisation": seed}}
    for seed in (1, 2, 3)
]


@pytest.fixture(scope="module")
def runs() -> list[ResolvedRun]:
    found = fingerprint(RunSpec.parse(TEACHER).data)
    return [resolve(RunSpec.parse(run), found) for run in STUDENTS]


@pytest.fixture(scope="module")
def expected(runs: list[ResolvedRun], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What this process trains."""
    folder = tmp_path_factory.mktemp("here")
    train_all(runs, RunStore(folder), workers=1)
    return content(folder)


def content(folder: Path) -> dict[str, bytes]:
    names = (MODEL, PREDICTIONS, HISTORY)
    found = {
        f"{path.parent.name}/{path.name}": path.read_bytes() for name in names for path in folder.glob(f"*/{name}")
    }
    assert len(found) == len(names) * (1 + len(STUDENTS))
    return found


def trained(runs: list[ResolvedRun], folder: Path, executor: Any) -> dict[str, bytes]:
    outcomes = train_all(runs, RunStore(folder), executor=executor)
    assert [outcome.status for outcome in outcomes] == ["trained"] * (1 + len(runs))
    assert runs[0].teachers
    assert outcomes[0].identity == runs[0].teachers[0].identity, "the teacher first"
    again = train_all(runs, RunStore(folder), executor=executor)
    assert {outcome.status for outcome in again} == {"present"}
    return content(folder)


def test_joblib_gives_the_same_bits(runs: list[ResolvedRun], expected: dict[str, bytes], tmp_path: Path) -> None:
    assert trained(runs, tmp_path, JoblibExecutor(backend="sequential")) == expected


@pytest.mark.slow
def test_two_processes_of_joblib_give_the_same_bits(runs, expected, tmp_path) -> None:
    assert trained(runs, tmp_path, JoblibExecutor(workers=2)) == expected


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::UserWarning")
def test_two_workers_of_dask_give_the_same_bits(runs, expected, tmp_path) -> None:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        assert trained(runs, tmp_path, DaskExecutor(address=cluster.scheduler_address)) == expected


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_jobs_of_submitit_give_the_same_bits(runs, expected, tmp_path) -> None:
    pytest.importorskip("submitit")
    executor = SubmititExecutor(cluster="local", runs_per_job=2, minutes=10)
    assert trained(runs, tmp_path, executor) == expected
    assert len(list((tmp_path / "jobs").glob("*_submitted.pkl"))) == 3, "one job of the teacher, two of the students"


def test_a_job_that_is_stopped_is_submitted_again_and_finds_what_it_finished(runs, expected, tmp_path) -> None:
    submitit = pytest.importorskip("submitit")
    store = RunStore(tmp_path)
    train_all(list(runs[0].teachers or ()), store, workers=1)
    job = Job(lambda run: execute(run, store))
    assert [outcome.status for outcome in job(runs[:2])] == ["trained", "trained"]
    again = job.checkpoint(runs)
    assert isinstance(again, submitit.helpers.DelayedSubmission)
    assert [outcome.status for outcome in again.function(*again.args)] == ["present", "present", "trained"]
    assert content(tmp_path) == expected


def test_the_error_of_a_lost_worker_is_raised(runs, tmp_path) -> None:
    ended: list[Outcome] = []

    def train(run: ResolvedRun) -> Outcome:
        if run is runs[1]:
            os.kill(os.getpid(), signal.SIGKILL)
        return Outcome(run.identity, "trained")

    with pytest.raises(TerminatedWorkerError):
        JoblibExecutor(workers=2).train_each(runs, train, tmp_path, ended.append)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_a_job_that_fails_names_its_log(runs, tmp_path) -> None:
    pytest.importorskip("submitit")
    ended: list[Outcome] = []

    def train(run: ResolvedRun) -> Outcome:
        if run is runs[0]:
            raise OSError("no space")
        return Outcome(run.identity, "trained")

    with pytest.raises(InputError, match=r"executor: jobs that end; got \w+ in job .*; see .*\.err$"):
        SubmititExecutor(cluster="local", runs_per_job=1).train_each(runs, train, tmp_path, ended.append)
    assert [outcome.identity for outcome in ended] == [run.identity for run in runs[1:]]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("dusk", r"executor: .*'dusk'.*dask"),
        ({"name": "dask", "adress": "tcp://x"}, r"executor: .*adress.*address"),
        ({"name": "submitit", "runs_per_job": 0}, r"executor: .*runs_per_job.*0"),
        ({"name": "submitit", "cluster": "pbs"}, r"executor: .*cluster.*pbs"),
        ({"workers": 2}, r"executor: "),
    ],
)
def test_a_bad_executor_is_refused(given: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        executor_of(given)


def test_executors_by_name() -> None:
    assert executor_of("dask") == DaskExecutor()
    assert executor_of({"name": "joblib", "backend": "threading", "workers": 3}) == JoblibExecutor(
        backend="threading", workers=3
    )
    assert list(EXECUTORS) == ["joblib", "dask", "submitit"]


@pytest.mark.parametrize(("name", "package"), [("dask", "distributed"), ("submitit", "submitit")])
def test_a_missing_package_is_named(runs, tmp_path, monkeypatch, name: str, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    train: Callable[[ResolvedRun], Outcome] = lambda run: Outcome(run.identity, "trained")  # noqa: E731
    with pytest.raises(ModuleNotFoundError, match=rf"executor: the package {package}; got no such package"):
        executor_of(name).train_each(runs, train, tmp_path, lambda outcome: None)


def test_workers_are_a_setting_of_the_executor(runs, tmp_path) -> None:
    with pytest.raises(InputError, match="workers: left out with executor"):
        train_all(runs, RunStore(tmp_path), workers=2, executor=JoblibExecutor())
