"""Where runs are trained: in processes of this machine, or on a cluster through joblib's backends, Dask or submitit.

A run is the same wherever it is trained, and an interrupted one resumes from its checkpoint. So a job that is lost, or
that the cluster starts again, costs time only. All machines must see the run store and the data under the same paths.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

import joblib
from pydantic import Field

from softtargets import _packages
from softtargets._errors import fail, unknown
from softtargets._interruption import stop_if_asked
from softtargets._spec import NamedSpec, register
from softtargets.runs.spec import ResolvedRun
from softtargets.train.execute import Outcome

Train = Callable[[ResolvedRun], Outcome]
Count = Annotated[int, Field(ge=1, le=10_000)]

EXECUTORS: dict[str, type["ExecutorSpec"]] = {}
executor = partial(register, EXECUTORS)
# Seconds between looks at the jobs of submitit.
_POLL = 1.0


class ExecutorSpec(NamedSpec):
    """What trains runs that do not depend on each other, several at a time."""

    def train_each(
        self, runs: Sequence[ResolvedRun], train: Train, folder: Path, ended: Callable[[Outcome], None]
    ) -> None:
        """Train runs.

        Args:
            runs: the runs.
            train: trains one run; it can be pickled.
            folder: of the run store, where files of jobs can be written.
            ended: called with each outcome as soon as it is known.

        Raises:
            Exception: of a worker or a job that was lost.
        """
        raise NotImplementedError


@executor("joblib")
class JoblibExecutor(ExecutorSpec):
    """Any backend of joblib, also one that another package has registered.

    Attributes:
        backend: its name, such as "loky", "threading" or "ray".
        workers: number of runs at a time. None: the default of the backend.
    """

    backend: Annotated[str, Field(min_length=1)] = "loky"
    workers: Count | None = None

    def train_each(
        self, runs: Sequence[ResolvedRun], train: Train, folder: Path, ended: Callable[[Outcome], None]
    ) -> None:
        """Train runs; see :class:`ExecutorSpec`."""
        with joblib.parallel_config(backend=self.backend, n_jobs=-1 if self.workers is None else self.workers):
            parallel: Any = joblib.Parallel(return_as="generator_unordered", batch_size=1)  # pyright: ignore[reportArgumentType]
            _collect(parallel(joblib.delayed(train)(run) for run in runs), ended)


@executor("dask")
class DaskExecutor(ExecutorSpec):
    """Workers of Dask.

    Attributes:
        address: of the scheduler, such as "tcp://10.0.0.1:8786". None: that of the environment variable
            DASK_SCHEDULER_ADDRESS; without one, a cluster of processes on this machine.
        workers: number of processes of a cluster on this machine. None: one per core.
    """

    address: str | None = None
    workers: Count | None = None

    def train_each(
        self, runs: Sequence[ResolvedRun], train: Train, folder: Path, ended: Callable[[Outcome], None]
    ) -> None:
        """Train runs; see :class:`ExecutorSpec`."""
        distributed = _imported("distributed", "dask")
        dask = import_module("dask")
        address = self.address or dask.config.get("scheduler-address", None)
        with _cluster(distributed, address, self.workers) as given, distributed.Client(given) as client:
            futures = [client.submit(train, run, pure=False) for run in runs]
            done = distributed.as_completed(futures)
            _collect((future.exception() or future.result() for future in done), ended)


@executor("submitit")
class SubmititExecutor(ExecutorSpec):
    """Jobs of Slurm, or processes of this machine, through submitit.

    A job that Slurm preempts, or that reaches its time limit, is submitted again and resumes. Logs of jobs are in the
    folder `jobs` of the run store.

    Attributes:
        cluster: "slurm" or "local" (processes of this machine). None: Slurm where there is one, else local.
        runs_per_job: number of runs that a job trains one after the other.
        minutes: time limit of a job.
        parameters: further parameters of submitit, such as slurm_partition, cpus_per_task, gpus_per_node or mem_gb.
    """

    cluster: Literal["slurm", "local"] | None = None
    runs_per_job: Count = 1
    minutes: Count = 60
    parameters: Mapping[str, str | int | float] = {}

    def train_each(
        self, runs: Sequence[ResolvedRun], train: Train, folder: Path, ended: Callable[[Outcome], None]
    ) -> None:
        """Train runs; see :class:`ExecutorSpec`."""
        submitit = _imported("submitit", "slurm")
        jobs: list[Any] = []
        made = submitit.AutoExecutor(folder=folder / "jobs", cluster=self.cluster)
        made.update_parameters(name="softtargets", timeout_min=self.minutes, **self.parameters)
        parts = [runs[start : start + self.runs_per_job] for start in range(0, len(runs), self.runs_per_job)]
        try:
            with made.batch():
                jobs += [made.submit(Job(train), part) for part in parts]
            _collect(_results(submitit, jobs), ended)
        finally:
            for job in jobs:
                if not job.done():
                    job.cancel()


class Job:
    """Trains some runs one after the other. If the cluster stops the job, it is submitted again and resumes."""

    def __init__(self, train: Train) -> None:
        self.train = train

    def __call__(self, runs: Sequence[ResolvedRun]) -> list[Outcome]:
        """Train the runs."""
        return [self.train(run) for run in runs]

    def checkpoint(self, runs: Sequence[ResolvedRun]) -> Any:
        """Return what submitit submits again: the same runs, of which the finished ones are found in the store."""
        return import_module("submitit").helpers.DelayedSubmission(self, runs)


def executor_of(given: str | Mapping[str, Any] | ExecutorSpec) -> ExecutorSpec:
    """Return an executor by its name, or from a table with its name and settings.

    Raises:
        InputError: for an unknown name, an unknown setting or a bad value.
    """
    if isinstance(given, ExecutorSpec):
        return given
    table = {"name": given} if isinstance(given, str) else dict(given)
    name = table.get("name")
    if name not in EXECUTORS:
        raise unknown("executor", str(name), EXECUTORS)
    return EXECUTORS[str(name)].parse(table, "executor")


def _collect(results: Iterator[Outcome | Exception], ended: Callable[[Outcome], None]) -> None:
    """Hand on every outcome, and raise the first error at the end."""
    failed: Exception | None = None
    for result in results:
        stop_if_asked()
        if isinstance(result, Exception):
            failed = failed or result
        else:
            ended(result)
    if failed is not None:
        raise failed


def _results(submitit: Any, jobs: Sequence[Any]) -> Iterator[Outcome | Exception]:
    for job in submitit.helpers.as_completed(jobs, poll_frequency=_POLL):
        error = job.exception()
        if error is None:
            yield from job.result()
        else:
            got = f"{type(error).__name__} in job {job.job_id}"
            yield fail("executor", "jobs that end", got, f"see {job.paths.stderr}")


@contextmanager
def _cluster(distributed: Any, address: str | None, workers: int | None) -> Iterator[Any]:
    """Yield the address of a scheduler, or a cluster on this machine."""
    local = partial(distributed.LocalCluster, n_workers=workers, threads_per_worker=1, dashboard_address=None)
    with nullcontext(address) if address is not None else local() as found:
        yield found


def _imported(package: str, extra: str) -> Any:
    return _packages.load(package, "executor", f"softtargets[{extra}]")
