"""How long training will take on this machine, from a few measured steps."""

import math
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

from torch import Tensor

from softtargets._storage import write_atomically
from softtargets.data.dataset import Dataset
from softtargets.data.noise import clean_labels
from softtargets.matrices import Transition
from softtargets.objectives.cross_entropy import SmoothedCrossEntropy
from softtargets.runs.machine import available_cores, quiet_machine
from softtargets.runs.network import TrainedModel
from softtargets.runs.spec import ResolvedRun, RunSpec
from softtargets.runs.store import RunStore
from softtargets.runs.workers import count_workers
from softtargets.train.execute import resolve
from softtargets.train.length import length_of
from softtargets.train.loop import Trainer
from softtargets.train.progress import steps_so_far

# Seconds of measured steps for one kind of run, and for all kinds of a study, without the set-up and the first step.
BUDGET, TOTAL_BUDGET = 1.0, 4.0
LEAST_SAMPLES = 3
# Seconds of computing that a worker process takes to start, which is mostly the import of torch.
WORKER_START = 2.0
# Kinds of runs that are measured.
MOST_KINDS = 12
# Rows whose prediction is measured: at least and at most.
LEAST_ROWS, MEASURED_ROWS = 8, 1024
# Seconds of computing in which the processes of a run on several devices import Fabric and connect.
DEVICES_START = 8.0

Value = TypeVar("Value")


@dataclass(frozen=True)
class RunTime:
    """The time that a run takes on this machine.

    Args:
        setup_seconds: building the network, preparing the data, starting processes, and saving the run.
        step_seconds: one training step, with its share of the work that is done once per epoch.
        steps: number of steps.
        evaluation_seconds: all predictions of the run: of the validation split in training, of every split at the end.
    """

    setup_seconds: float
    step_seconds: float
    steps: int
    evaluation_seconds: float

    @property
    def seconds(self) -> float:
        """Estimated seconds in total."""
        return self.setup_seconds + self.steps * self.step_seconds + self.evaluation_seconds

    def __repr__(self) -> str:
        return f"<RunTime: about {self.seconds:.1f} s, {self.steps:,} steps of {1000 * self.step_seconds:.2f} ms>"


def estimate_run_time(run: RunSpec, dataset: Dataset, *, workers: int = 1, budget: float = BUDGET) -> RunTime:
    """Measure a few training steps of a run on this machine, and estimate the time of the whole run.

    The steps are real ones: the network, batch size, parts, augmentation, objective, precision and threads of the run,
    on its data, with the worker processes that decode streamed images. Untrained networks stand in for teachers, and a
    known transition for an estimated one. Of a run on several devices, the steps of one process are measured; the time
    in which processes exchange gradients is not known and left out. A run that may stop early is estimated to its end.
    Takes about one second, or the time of three steps where that is longer.

    Args:
        run: the specification.
        dataset: its data set, or one of the same shapes.
        workers: number of runs that will be trained at a time. Where they and the machine's other processes need more
            cores than there are, the estimate is longer.
        budget: seconds spent on measured steps; at least three samples are taken.

    Returns:
        The estimate. It is usually right within a factor of two if the load of the machine does not change.

    Raises:
        InputError: if the run does not fit the data set.
    """
    devices = run.training.devices or 1
    with tempfile.TemporaryDirectory() as folder, quiet_machine(run.training.threads):
        longest = 1 if dataset.tokenizer is None else int(dataset.row_lengths.max())
        resolved = resolve(without_noise(of_one_process(run, longest)), dataset.fingerprint)
        load = _Load()
        _trainer(resolved, dataset, Path(folder))  # the first one imports what later ones need
        trainer, setup = _timed(lambda: _trainer(resolved, dataset, Path(folder)))
        step_seconds, epoch_seconds = _time_steps(trainer, budget)
        per_row = _time_prediction(trainer, max(dataset.splits.values(), key=len), budget) / devices
        saving = _time_saving(trainer, Path(folder))
        slower = load.slowdown(run.training.threads, workers * devices)
    length, rows = length_of(run, dataset), _predicted_rows(run, dataset)
    setup += saving + epoch_seconds * length.epochs + (0.0 if devices == 1 else DEVICES_START)
    return RunTime(slower * setup, slower * step_seconds, length.steps, slower * rows * per_row)


def estimate_total_seconds(
    runs: Sequence[ResolvedRun],
    dataset_of: Callable[[RunSpec], Dataset],
    store: RunStore,
    *,
    workers: int | None = None,
) -> float:
    """Estimate the wall-clock seconds of training runs, several at a time.

    Runs that differ only in seeds, noise, optimiser, schedule, length or the numbers of their objective are measured
    once. Takes a few seconds.

    Args:
        runs: the runs that the store lacks, with the runs that they need.
        dataset_of: (run) -> its data set, or one of the same shapes.
        store: where interrupted runs have recorded the steps that they have done.
        workers: number of runs at a time (default: as many as the cores allow).
    """
    if not runs:
        return 0.0
    threads = max(run.run.training.cores for run in runs)
    count = min(len(runs), count_workers(workers, threads))
    kinds: dict[str, list[ResolvedRun]] = {}
    for run in runs:
        kinds.setdefault(_kind(run.run), []).append(run)
    # the most frequent kinds are measured, and the others take the mean time of these
    measured = sorted(kinds.values(), key=len, reverse=True)[:MOST_KINDS]
    budget = min(BUDGET, TOTAL_BUDGET / len(measured))
    known, load = 0.0, _Load()
    for members in measured:
        first = members[0].run
        time_of = estimate_run_time(first, dataset_of(first), workers=count, budget=budget)
        for run in members:
            steps = length_of(run.run, dataset_of(run.run)).steps - steps_so_far(store, run.identity)
            known += time_of.seconds + (max(0, steps) - time_of.steps) * time_of.step_seconds
    total = known * len(runs) / sum(map(len, measured))
    if count == 1:
        return total
    return total / count + WORKER_START * load.stretch() * load.slowdown(threads, count)


def without_noise(run: RunSpec) -> RunSpec:
    """Return a run and its teachers without what takes no time: label noise, and the weights of another run."""
    teachers = None if run.teachers is None else tuple(without_noise(teacher) for teacher in run.teachers)
    return run.model_copy(
        update={"noise": None, "teachers": teachers, "init_from": None, "init_head": None, "boosted_after": None}
    )


def of_one_process(run: RunSpec, longest: int = 1) -> RunSpec:
    """Return a run on one device with the rows of each batch that a process of a run on several devices computes.

    Args:
        run: the run.
        longest: the number of tokens of the longest row, which a batch by tokens has at least.
    """
    training = run.training
    if training.devices is None:
        return run
    alone: dict[str, Any] = {"devices": None, "sync_batch_norm": None}
    if training.batch_tokens is not None:
        alone["batch_tokens"] = max(longest, math.ceil(training.batch_tokens / training.devices))
    else:
        rows = alone["batch_size"] = math.ceil(training.batch_size / training.devices)
        alone["accumulate"] = None if training.accumulate is None else min(training.accumulate, rows)
        if training.labelled_batch is not None:
            alone["labelled_batch"] = min(math.ceil(training.labelled_batch / training.devices), rows - 1) or None
    training = training.changed(**alone)
    teachers = None if run.teachers is None else tuple(of_one_process(teacher, longest) for teacher in run.teachers)
    return run.model_copy(update={"training": training, "teachers": teachers})


def _kind(run: RunSpec) -> str:
    """Return what the time of a step depends on."""
    parts = [
        run.model_dump_json(include={"data", "model", "augmentation"}),
        run.training.model_dump_json(exclude={"epochs", "steps", "patience", "monitor", "loggers"}),
        run.objective.name,
        *(teacher.model.model_dump_json() for teacher in run.teachers or ()),
    ]
    return "|".join(parts)


def _timed(function: Callable[[], Value]) -> tuple[Value, float]:
    started = time.perf_counter()
    return function(), time.perf_counter() - started


def _trainer(resolved: ResolvedRun, dataset: Dataset, folder: Path) -> Trainer:
    # evaluations and snapshots are counted apart
    apart = dict.fromkeys(("evaluate_every", "snapshot_every", "patience", "monitor", "loggers"))
    training = resolved.run.training.changed(**apart)
    run = resolved.run.changed(training=training)
    resolved = resolved.changed(run=run)
    stand_ins = [_untrained(teacher, dataset) for teacher in resolved.teachers or ()]
    if run.objective.caches_teachers:
        # a step that reads a cache costs hardly more than one of cross entropy
        plain = run.changed(objective=SmoothedCrossEntropy(), teachers=None)
        resolved, stand_ins = resolved.changed(run=plain, teachers=None), []
    transition = Transition.symmetric(0.1, dataset.num_classes)
    return Trainer(resolved, dataset, clean_labels(dataset), folder, transition, stand_ins)


def _untrained(resolved: ResolvedRun, dataset: Dataset) -> TrainedModel:
    network = resolved.run.model.build(input_shape=dataset.input_shape, num_classes=dataset.num_classes)
    return TrainedModel(network, resolved)


def _time_steps(trainer: Trainer, budget: float) -> tuple[float, float]:
    """Return the median seconds of a step, over whole epochs if these are short, and the seconds to begin an epoch.

    Streamed images are decoded ahead by worker processes, which take time to start. So their steps are measured within
    one epoch, as the difference between many steps and one.
    """
    per_epoch = trainer.length.steps_per_epoch
    trainer.run_steps(1)  # the first step allocates memory and chooses kernels
    _, seconds = _timed(lambda: trainer.run_steps(1))
    if trainer.streamed:
        count = min(per_epoch, max(LEAST_SAMPLES, round(budget / max(seconds, 1e-6))))
        _, many = _timed(lambda: trainer.run_steps(count))
        each = max(0.0, many - seconds) / max(1, count - 1)
        return (each, max(0.0, seconds - each)) if count > 1 and each > 0 else (many / count, 0.0)
    block = min(per_epoch, max(1, round(budget / 5 / max(seconds, 1e-6))))
    samples: list[float] = []
    started = time.perf_counter()
    while len(samples) < LEAST_SAMPLES or (time.perf_counter() - started < budget and len(samples) < 50):
        _, seconds = _timed(lambda: trainer.run_steps(block))
        samples.append(seconds / block)
    return median(samples), 0.0


def _time_prediction(trainer: Trainer, split: Tensor, budget: float) -> float:
    """Return the seconds to predict one row, from as many rows as the budget allows."""
    few = split[:LEAST_ROWS]
    trainer.predict(few)
    _, seconds = _timed(lambda: trainer.predict(few))
    per_row = seconds / max(1, len(few))
    rows = split[: min(MEASURED_ROWS, round(max(budget, 0.01) / max(per_row, 1e-6)))]
    if len(rows) <= len(few):
        return per_row
    _, seconds = _timed(lambda: trainer.predict(rows))
    return seconds / len(rows)


def _time_saving(trainer: Trainer, folder: Path) -> float:
    """Return the seconds of writing a finished run: some files of the size of its weights, each flushed to the disk."""
    size = sum(4 * parameter.numel() for parameter in trainer.model.parameters())
    _, seconds = _timed(lambda: write_atomically(folder / "weights", bytes(size)))
    return 6 * seconds


def _predicted_rows(run: RunSpec, dataset: Dataset) -> int:
    """Return how many rows a run predicts: every split at the end, and the validation split while it trains."""
    # of tokens that a network writes, the training split is not predicted
    splits = {name: len(rows) for name, rows in dataset.splits.items() if not (dataset.is_sequence and name == "train")}
    every, total = run.training.evaluate_every, sum(splits.values())
    if every is None:
        return total
    epochs = length_of(run, dataset).epochs
    return 2 * total + epochs // every * len(dataset.splits["validation"])


class _Load:
    """The load that other processes put on the machine while something is measured."""

    def __init__(self) -> None:
        self._busy, self._own, self._started = _busy_seconds(), time.process_time(), time.perf_counter()

    def stretch(self) -> float:
        """Return the wall-clock seconds that one second of computing took, at least 1."""
        own = time.process_time() - self._own
        return max(1.0, (time.perf_counter() - self._started) / own) if own > 0 else 1.0

    def slowdown(self, threads: int, workers: int) -> float:
        """Return how much slower a run is when `workers` of them share the machine than it was when measured."""
        busy = _busy_seconds()
        elapsed = time.perf_counter() - self._started
        others = 0.0
        if busy is not None and self._busy is not None and elapsed > 0:
            others = max(0.0, busy - self._busy - (time.process_time() - self._own)) / elapsed
        cores = available_cores()
        return max(1.0, (others + workers * threads) / cores) / max(1.0, (others + threads) / cores)


def _busy_seconds() -> float | None:
    """Return the seconds that all cores have been busy since the machine started; None if that is unknown."""
    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
        user, nice, system, _idle, _iowait, irq, softirq = (int(field) for field in fields[:7])
        ticks = user + nice + system + irq + softirq
        return ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError):
        return None
