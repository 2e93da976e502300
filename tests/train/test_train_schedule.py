"""Teachers and students as one graph: each trained once and in order, failures handed on, progress counted, killed."""

import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from joblib.externals.loky.process_executor import TerminatedWorkerError

from softtargets._errors import InputError
from softtargets._spec import merged
from softtargets.data import fingerprint
from softtargets.measures import measure_network, measure_record
from softtargets.runs.spec import ResolvedRun, RunSpec
from softtargets.runs.store import HISTORY, MODEL, PREDICTIONS, RunStore
from softtargets.train import schedule, teachers, train_run, training
from softtargets.train.execute import Outcome, resolve
from softtargets.train.progress import Progress
from softtargets.train.schedule import train_all

TEACHER = {
    "data": {"name": "digits", "limit": {"train": 120, "validation": 40, "test": 60}},
    "model": {"name": "mlp", "hidden": [16]},
    "training": {"epochs": 3, "batch_size": 32, "precision": "float32"},
}
STUDENT = {**TEACHER, "model": {"name": "mlp", "hidden": [8]}, "objective": {"name": "distillation"}}


@pytest.fixture(scope="module")
def resolved() -> Callable[[dict], ResolvedRun]:
    found = fingerprint(RunSpec.parse(TEACHER).data)
    return lambda run: resolve(RunSpec.parse(run), found)


def _student(*taught: dict, seed: int = 0, **objective) -> dict:
    return merged(STUDENT, {"teachers": list(taught), "objective": objective, "seeds": seed})


def _train(runs: list[ResolvedRun], folder: Path, **settings) -> list[Outcome]:
    return train_all(runs, RunStore(folder), workers=1, checkpoint_seconds=0, **settings)


def test_a_teacher_wanted_by_several_students_and_two_studies_trains_once(resolved, tmp_path) -> None:
    teacher = resolved(TEACHER)
    first = [resolved(_student(TEACHER, seed=seed)) for seed in (0, 1)]
    outcomes = _train(first, tmp_path)
    assert [outcome.identity for outcome in outcomes] == [teacher.identity, *(run.identity for run in first)]
    assert {outcome.status for outcome in outcomes} == {"trained"}
    # another study: a new student of the old teacher, an old student, and the teacher for its own sake
    second = [resolved(_student(TEACHER, temperature=4.0)), first[0], teacher]
    outcomes = _train(second, tmp_path)
    statuses = {outcome.identity: outcome.status for outcome in outcomes}
    assert statuses == {second[0].identity: "trained", first[0].identity: "present", teacher.identity: "present"}


def test_who_is_taught_comes_after_all_who_teach(resolved, tmp_path) -> None:
    """Three generations, and a student of the first and the second at once, asked for in the wrong order."""
    child = {**_student(TEACHER, seed=1), "model": TEACHER["model"]}
    heir = _student(TEACHER, child)
    grandchild = _student(child)
    runs = [resolved(run) for run in (heir, grandchild, child, TEACHER)]
    order = [outcome.identity for outcome in _train(runs, tmp_path)]
    assert len(order) == len(set(order)) == 4
    places = [order.index(run.identity) for run in runs]
    assert places[3] == 0
    assert places[2] == 1
    assert set(places[:2]) == {2, 3}


def test_no_record_is_read_twice(resolved, tmp_path, monkeypatch) -> None:
    student = resolved(_student(TEACHER))
    _train([student], tmp_path)
    asked: list[str] = []
    original = RunStore.result
    monkeypatch.setattr(RunStore, "result", lambda store, identity: asked.append(identity) or original(store, identity))
    assert {outcome.status for outcome in _train([student, student], tmp_path)} == {"present"}
    # every file of it, to see that it is whole
    assert sorted(asked) == sorted([student.identity, resolved(TEACHER).identity])


@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_a_teacher_that_was_lost_is_trained_again_for_students_that_are_there(resolved, tmp_path, damage) -> None:
    """What is measured of a student is measured against its teacher."""
    student, teacher = resolved(_student(TEACHER)), resolved(TEACHER)
    _train([student], tmp_path)
    before = _records(tmp_path)
    path = tmp_path / teacher.identity / PREDICTIONS
    if damage == "gone":
        shutil.rmtree(path.parent)
    else:
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    statuses = {outcome.identity: outcome.status for outcome in _train([student], tmp_path)}
    assert statuses == {student.identity: "present", teacher.identity: "trained"}
    assert _records(tmp_path) == before
    assert "agreement" in measure_record(RunStore(tmp_path), student.identity)


def test_what_students_say_of_a_teacher_that_fails(resolved, tmp_path) -> None:
    broken = {**TEACHER, "optimizer": {"learning_rate": 1e30, "nesterov": False}}
    runs = [resolved(_student(broken, TEACHER)), resolved(_student(TEACHER)), resolved(_student(broken, seed=1))]
    outcomes = {outcome.identity: outcome for outcome in _train(runs, tmp_path)}
    assert len(outcomes) == 5
    teacher = outcomes[resolved(broken).identity]
    assert teacher.status == "failed"
    assert "lower the learning rate" in teacher.message
    for run in (runs[0], runs[2]):
        said = outcomes[run.identity]
        assert said.status == "failed"
        got = f"a failure: {teacher.message}"
        assert said.message == f"teacher: a finished run; got {got}; fix or delete that run first"
    assert outcomes[runs[1].identity].status == "trained"
    # it would fail again, and so would they
    again = _train(runs, tmp_path)
    assert {o.identity: o.message for o in again if o.status == "failed"} == {
        o.identity: o.message for o in outcomes.values() if o.status == "failed"
    }


def test_a_failure_that_may_pass_is_tried_again_and_then_the_students(resolved, tmp_path, monkeypatch) -> None:
    student = resolved(_student(TEACHER))

    def full(*arguments, **settings):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(training, "write_atomically", full)
        assert {outcome.status for outcome in _train([student], tmp_path)} == {"failed"}
    assert {outcome.status for outcome in _train([student], tmp_path)} == {"trained"}


def test_progress_counts_teachers_too(resolved, tmp_path) -> None:
    seen: list[Progress] = []
    runs = [resolved(_student(TEACHER, seed=seed)) for seed in (0, 1)]
    _train(runs, tmp_path, on_progress=seen.append)
    assert (seen[-1].finished, seen[-1].total, seen[-1].present, seen[-1].done) == (3, 3, 0, 1.0)
    assert [look.done for look in seen] == sorted(look.done for look in seen)
    del seen[:]
    _train([*runs, resolved(_student(TEACHER, seed=2))], tmp_path, on_progress=seen.append)
    assert (seen[-1].finished, seen[-1].total, seen[-1].present) == (1, 1, 2)


def test_a_damaged_teacher_is_trained_again_before_its_next_student(resolved, tmp_path) -> None:
    teacher, student = resolved(TEACHER), resolved(_student(TEACHER, seed=1))
    _train([resolved(_student(TEACHER)), student], tmp_path / "whole")
    _train([resolved(_student(TEACHER))], tmp_path / "harmed")
    path = tmp_path / "harmed" / teacher.identity / MODEL
    content = path.read_bytes()
    path.write_bytes(content[:-8])
    outcomes = _train([student], tmp_path / "harmed")
    assert {outcome.identity for outcome in outcomes} == {teacher.identity, student.identity}
    assert path.read_bytes() == content
    assert _records(tmp_path / "harmed") == _records(tmp_path / "whole")


CACHED = [_student(TEACHER, seed=seed, cache={"dtype": "float32"}, temperature=float(1 + seed)) for seed in (0, 1)]
RUN = """
import os, signal, time
from pathlib import Path
from softtargets.data import fingerprint
from softtargets.distill.cache import shards as cache_shards
from softtargets.runs.spec import RunSpec
from softtargets.runs.store import RunStore
from softtargets.train import loop, teachers
from softtargets.train.execute import resolve
from softtargets.runs.network import TrainedModel
from softtargets.train.schedule import train_all

def watched(place, name):
    original, calls = getattr(place, name), []
    def watches(*arguments):
        if (name, len(calls)) == last:
            os.kill(os.getpid(), signal.SIGKILL)
        calls.append(time.sleep(0.02))  # so that two processes meet
        return original(*arguments)
    setattr(place, name, watches)

for place, name in (loop.Trainer, "_train_epoch"), (TrainedModel, "logits"), (cache_shards, "write_file"):
    watched(place, name)
teachers.ROWS, teachers.ROWS_PER_SHARD = 25, 40
runs = [RunSpec.parse(run) for run in cached]
found = fingerprint(runs[0].data)
outcomes = train_all([resolve(run, found) for run in runs], RunStore(Path(folder)), workers=1, checkpoint_seconds=0)
trained = sum(outcome.status == "trained" for outcome in outcomes)
Path(folder, f"trained.{os.getpid()}").write_text(str(trained))
"""


def _start(folder: Path, last: tuple[str, int] | None = None) -> BaseProcess:
    """Train in a process of its own, which is killed where it would call that function the n-th time, from 0."""
    # forked off a server that has imported what takes seconds to import
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["softtargets.train.schedule"])
    process = context.Process(target=exec, args=(RUN, {"folder": str(folder), "last": last, "cached": CACHED}))
    process.start()
    return process


def _records(store: Path) -> dict[str, bytes]:
    """Every number of finished runs and of caches."""
    names = {HISTORY, MODEL, PREDICTIONS}
    runs = [path for path in store.glob("*/*") if path.name in names and path.parent.name.isalnum()]
    caches = [path for path in store.glob("teachers/*/*") if path.name != ".lock"]
    return {str(path.relative_to(store)): path.read_bytes() for path in [*runs, *caches]}


@pytest.fixture(scope="module")
def whole(tmp_path_factory, resolved) -> Path:
    """Two students of one teacher, by way of its cache, not interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(teachers, "ROWS", 25)
        patch.setattr(teachers, "ROWS_PER_SHARD", 40)
        outcomes = _train([resolved(run) for run in CACHED], folder)
    assert [outcome.status for outcome in outcomes] == ["trained"] * 3
    return folder


# where the process is killed, what is there then, and what is not yet
MOMENTS = [
    (("_train_epoch", 1), f"*.partial/{HISTORY}", "*/result.json"),
    (("logits", 3), "teachers/*/shard-00000.safetensors", "teachers/*/shard-00001.safetensors"),
    (("write_file", 2), "teachers/*/shard-00002.safetensors", "teachers/*/index.safetensors"),
    (("write_file", 1), "teachers/*/index.safetensors", "teachers/*/manifest.json"),
    (("_train_epoch", 2), "teachers/*/manifest.json", "trained.*"),
    (("_train_epoch", 3), f"*.partial/{HISTORY}", "trained.*"),
]


@pytest.mark.slow
def test_students_killed_by_the_system_end_the_same(whole, tmp_path, resolved, monkeypatch) -> None:
    """While the teacher trains, while its cache is written, between epochs of the first student and of the second."""
    for last, there, absent in MOMENTS:
        process = _start(tmp_path, last)
        process.join()
        assert process.exitcode == -signal.SIGKILL, f"it was over before {last}"
        assert list(tmp_path.glob(there))
        assert not list(tmp_path.glob(absent))
    monkeypatch.setattr(teachers, "ROWS", 25)
    monkeypatch.setattr(teachers, "ROWS_PER_SHARD", 40)
    outcomes = _train([resolved(run) for run in CACHED], tmp_path)
    # the teacher and the first student were through
    assert [outcome.status for outcome in outcomes] == ["present", "trained"]
    assert _records(tmp_path) == _records(whole)


@pytest.mark.slow
def test_two_processes_on_one_store_train_each_once_and_share_the_cache(whole, tmp_path) -> None:
    processes = [_start(tmp_path) for _ in range(2)]
    for process in processes:
        process.join(120)
        process.kill()  # one that hangs would be waited for when all tests are over
    assert [process.exitcode for process in processes] == [0, 0]
    assert sum(int((tmp_path / f"trained.{process.pid}").read_text()) for process in processes) == 3
    assert _records(tmp_path) == _records(whole)


def _watched(monkeypatch, folder: Path, killed: bool) -> None:
    """Replace training by a note of the process, and let this process wait for a note of another one."""
    here = os.getpid()

    def trains(run: ResolvedRun, store: RunStore, **settings) -> Outcome:
        own = os.getpid() == here
        (folder / f"{run.identity}.{'here' if own else 'there'}").touch()
        if killed and not own:
            os.kill(os.getpid(), signal.SIGKILL)
        until = time.monotonic() + 60
        while own and not list(folder.glob("*.there")) and time.monotonic() < until:
            time.sleep(0.01)
        return Outcome(run.identity, "trained")

    # pickled by value, since it is a function in a function
    monkeypatch.setattr(schedule, "execute", trains)


def test_this_process_and_another_one_share_the_runs(resolved, tmp_path, monkeypatch) -> None:
    _watched(monkeypatch, tmp_path, killed=False)
    runs = [resolved({**TEACHER, "seeds": seed}) for seed in range(6)]
    seen: list[Progress] = []
    outcomes = train_all(runs, RunStore(tmp_path), workers=2, on_progress=seen.append)
    assert sorted(outcome.identity for outcome in outcomes) == sorted(run.identity for run in runs)
    assert {path.suffix for path in tmp_path.glob("*.*here")} == {".here", ".there"}
    assert len(list(tmp_path.glob("*.*here"))) == 6
    assert (seen[-1].finished, seen[-1].done) == (6, 1.0)


def test_the_death_of_a_process_ends_the_training_with_its_error(resolved, tmp_path, monkeypatch) -> None:
    _watched(monkeypatch, tmp_path, killed=True)
    runs = [resolved({**TEACHER, "seeds": seed}) for seed in range(6)]
    with pytest.raises(TerminatedWorkerError):
        train_all(runs, RunStore(tmp_path), workers=2)


@pytest.mark.parametrize("workers", [0, -1, "2", 1.5])
def test_the_number_of_workers_is_checked_first(workers, tmp_path) -> None:
    with pytest.raises(InputError, match="workers: a whole number of at least 1; got"):
        train_all([], RunStore(tmp_path), workers=workers)


def test_a_run_of_ones_own_says_what_it_takes(tmp_path) -> None:
    with pytest.raises(TypeError, match="specification: a RunSpec, a mapping or the path"):
        train_run([TEACHER])  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match=r"^specification: ensemble: left out of .* one run; .* train_ensemble"):
        train_run({**TEACHER, "ensemble": {"name": "seeds", "size": 2}}, runs=tmp_path / "runs")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="runs: a folder; got the file"):
        train_run(TEACHER, runs=tmp_path / "file")
    trained = train_run(TEACHER, runs=str(tmp_path / "runs"))
    assert (trained.status, trained.message) == ("trained", "")
    assert 0 < trained.metrics["test.accuracy"] <= 1
    assert repr(trained).startswith("TrainedRun(trained: cross_entropy; test.accuracy ")
    assert train_run(TEACHER, runs=tmp_path / "runs").status == "present"


def test_data_that_are_edited_between_two_runs_of_one_process_are_read_again(tmp_path) -> None:
    path, runs = tmp_path / "mine.csv", tmp_path / "runs"
    run = {**TEACHER, "data": {"name": str(path)}}
    found = []
    for period in (7, 5):
        path.write_text("a,b,label\n" + "".join(f"{i % period},{i % 3},{i % 2}\n" for i in range(60)))
        trained = train_run(run, runs=runs)
        assert trained.status == "trained", trained.message
        found.append(trained.resolved.fingerprint)
        assert "nc1" in measure_network(trained.resolved, RunStore(runs), ["nc1"]).values
    assert found[0] != found[1]
    path.unlink()
    with pytest.raises(InputError, match="name: "):
        train_run(run, runs=runs)
