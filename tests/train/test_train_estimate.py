"""Estimates of the time of training: what is counted and measured. No test compares a time with the clock."""

from typing import Any

import pytest
import torch

from softtargets.data.sources import load_cached
from softtargets.runs.store import HISTORY, RunStore
from softtargets.train import estimate, train_run
from softtargets.train.estimate import RunTime, estimate_run_time, estimate_total_seconds
from softtargets.train.graph import RunGraph
from softtargets.train.length import Length

TEACHER = {"model": {"name": "mlp", "hidden": [8]}, "training": {"epochs": 1}}
KINDS = {
    "plain": {},
    "dropout and an average": {"model": {"dropout": 0.5}, "training": {"average_decay": 0.9}},
    "observed": {"training": {"evaluate_every": 1, "snapshot_every": 1, "dynamics": True}},
    "estimated transition": {
        "noise": {"name": "symmetric", "rate": 0.2},
        "objective": {"name": "forward", "transition": {"name": "estimated"}},
    },
}


@pytest.fixture(autouse=True)
def _short(monkeypatch) -> None:
    monkeypatch.setattr(estimate, "TOTAL_BUDGET", 0.0)
    monkeypatch.setattr(estimate, "LEAST_SAMPLES", 1)


@pytest.fixture
def store(tmp_path) -> RunStore:
    return RunStore(tmp_path)


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_run_is_measured(small_run, tmp_path, name) -> None:
    run = small_run(**KINDS[name]).run
    measured = estimate_run_time(run, load_cached(run.data, str(tmp_path)), budget=0.0)
    assert measured.steps == 16
    assert 0 < measured.step_seconds < measured.seconds
    assert "16 steps of" in repr(measured)


@pytest.mark.parametrize("cache", [None, {}])
def test_a_student_is_measured_with_untrained_teachers(small_run, tmp_path, store, cache) -> None:
    objective = {"name": "distillation", **({} if cache is None else {"cache": cache})}
    data = small_run().run.data.model_dump(exclude_none=True)
    resolved = small_run(objective=objective, teachers=[{**TEACHER, "data": data}])
    missing = RunGraph.build([resolved], store).missing
    assert len(missing) == 2
    dataset = load_cached(resolved.run.data, str(tmp_path))
    assert estimate_total_seconds(missing, lambda run: dataset, store) > 0


def _constant(monkeypatch, calls: list) -> None:
    def measure(run, dataset, **settings) -> RunTime:
        calls.append(settings["workers"])
        return RunTime(setup_seconds=1.0, step_seconds=0.5, steps=16, evaluation_seconds=2.0)

    monkeypatch.setattr(estimate, "estimate_run_time", measure)


@pytest.mark.parametrize("objective", ["pseudo_labels", "mean_teacher", "max_suppression", "early_learning", "cores"])
def test_measuring_does_not_end_the_schedule_of_an_objective(small_run, tmp_path, monkeypatch, objective) -> None:
    """More epochs are measured than a short run has."""
    monkeypatch.setattr(estimate, "LEAST_SAMPLES", 6)
    few = {"labelled_per_class": 3} if objective in ("pseudo_labels", "mean_teacher") else {}
    data = {**small_run().run.data.model_dump(exclude_none=True), **few}
    training = {"epochs": 2, "average_decay": 0.9}
    run = small_run(data=data, objective={"name": objective}, training=training).run
    measured = estimate_run_time(run, load_cached(run.data, str(tmp_path)), budget=0.0)
    assert measured.step_seconds > 0
    assert estimate_run_time(run, load_cached(run.data, str(tmp_path)), budget=0.2).steps == measured.steps


def test_runs_that_differ_in_seeds_are_measured_once_and_share_the_workers(
    small_run, store, tmp_path, monkeypatch
) -> None:
    calls: list[int] = []
    _constant(monkeypatch, calls)
    runs = [small_run(seeds=seed) for seed in range(3)] + [small_run(training={"epochs": 8})]
    dataset = load_cached(runs[0].run.data, str(tmp_path))
    seconds = estimate_total_seconds(runs, lambda run: dataset, store, workers=2)
    training = (3 * (3 + 8) + 3 + 16) / 2
    assert seconds >= training + estimate.WORKER_START
    assert estimate_total_seconds(runs, lambda run: dataset, store, workers=1) == 2 * training
    assert calls == [2, 1]
    assert estimate_total_seconds([], lambda run: dataset, store) == 0


def test_steps_of_an_interrupted_run_are_not_counted(small_run, store, tmp_path, monkeypatch) -> None:
    _constant(monkeypatch, [])
    run = small_run()
    (store.begin(run) / HISTORY).write_text('{"step": 12}\n')
    dataset = load_cached(run.run.data, str(tmp_path))
    assert estimate_total_seconds([run], lambda run: dataset, store, workers=1) == 1 + 2 + 4 * 0.5


@pytest.mark.parametrize(
    ("threads", "workers", "others", "slower"), [(1, 1, 0, 1), (1, 2, 0, 1), (1, 4, 0, 2), (1, 2, 1, 1.5), (1, 1, 3, 1)]
)
def test_more_processes_than_cores_take_longer(monkeypatch, threads, workers, others, slower) -> None:
    monkeypatch.setattr(estimate, "available_cores", lambda: 2)
    busy = iter([0.0, 1000.0 + others * 10.0])
    monkeypatch.setattr(estimate, "_busy_seconds", lambda: next(busy))
    monkeypatch.setattr(estimate.time, "process_time", iter([0.0, 1000.0]).__next__)
    monkeypatch.setattr(estimate.time, "perf_counter", iter([0.0, 10.0]).__next__)
    assert estimate._Load().slowdown(threads, workers) == slower


def test_train_run_estimates_only_what_is_missing(small_run, tmp_path) -> None:
    said: list[float] = []
    for _ in range(2):
        train_run(small_run().run, runs=tmp_path, on_estimate=said.append)
    assert len(said) == 1


@pytest.mark.parametrize(("accumulate", "parts"), [(None, None), (8, 8), (32, 16)])
def test_a_process_of_several_computes_its_rows_of_each_batch(small_run, accumulate, parts) -> None:
    run = small_run(training={"devices": 2, "accumulate": accumulate, "threads": 3}).run
    own = estimate.of_one_process(run)
    assert (own.training.batch_size, own.training.accumulate, own.training.devices) == (16, parts, None)
    assert estimate.of_one_process(own) is own
    assert (run.training.cores, own.training.cores) == (6, 3)


def test_a_run_on_several_devices_has_its_own_number_of_steps(small_run, tmp_path) -> None:
    run = small_run(training={"devices": 2, "accumulate": 2}).run
    measured = estimate_run_time(run, load_cached(run.data, str(tmp_path)), budget=0.0)
    assert measured.steps == 16
    assert measured.setup_seconds > estimate.DEVICES_START, "its processes have to start"


def test_the_steps_of_a_stream_are_measured_without_the_start_of_its_workers(monkeypatch) -> None:
    """An epoch takes 3 s to begin, and each step 0.5 s."""
    clock = {"now": 0.0}

    class Streaming:
        streamed = True
        length = Length(40, 20)

        def run_steps(self, steps: int) -> None:
            clock["now"] += 3 + 0.5 * steps

    monkeypatch.setattr(estimate.time, "perf_counter", lambda: clock["now"])
    monkeypatch.setattr(estimate, "LEAST_SAMPLES", 5)
    trainer: Any = Streaming()
    assert estimate._time_steps(trainer, 0.1) == pytest.approx((0.5, 3.0))


def test_the_prediction_of_a_large_network_is_measured_on_few_rows(monkeypatch) -> None:
    clock, asked = {"now": 0.0}, []

    class Slow:
        def predict(self, rows: torch.Tensor) -> None:
            asked.append(len(rows))
            clock["now"] += 0.05 * len(rows)

    monkeypatch.setattr(estimate.time, "perf_counter", lambda: clock["now"])
    trainer: Any = Slow()
    assert estimate._time_prediction(trainer, torch.arange(5000), 1.0) == pytest.approx(0.05)
    assert asked == [8, 8, 20]
