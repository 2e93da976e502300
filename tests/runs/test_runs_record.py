"""Records: what a finished run left, its teachers' beside it, and what is said where one of those is gone."""

import shutil

import pytest
import torch
from safetensors.torch import save_file

from softtargets._errors import InputError
from softtargets.measures import measure_record
from softtargets.runs.record import read_record
from softtargets.runs.spec import ResolvedRun, RunSpec
from softtargets.runs.store import HISTORY, MODEL, PREDICTIONS, RunStore

BASE = {"model": {"name": "mlp"}, "training": {"epochs": 2}}


def _resolved(change: dict, *teachers: ResolvedRun) -> ResolvedRun:
    run = RunSpec.parse({**BASE, **change})
    return ResolvedRun(
        run=run, fingerprint="f", backend="cpu", precision="float32", recipe=1, teachers=teachers or None
    )


def _finished(store: RunStore, resolved: ResolvedRun, seed: int) -> ResolvedRun:
    folder = store.begin(resolved)
    draw = torch.Generator().manual_seed(seed)
    predictions = {}
    for split in ("train", "validation", "test"):
        predictions[f"{split}.ids"] = torch.arange(6)
        predictions[f"{split}.logits"] = torch.randn(6, 3, generator=draw)
        predictions[f"{split}.labels"] = predictions[f"{split}.observed"] = torch.arange(6) % 3
    save_file({name: tensor.clone() for name, tensor in predictions.items()}, folder / PREDICTIONS)
    save_file({"weight": torch.zeros(1)}, folder / MODEL)
    (folder / HISTORY).write_text('{"epoch": 1, "objective": 0.5}\n')
    store.finish(resolved.identity, {"steps": 1})
    return resolved


@pytest.fixture
def store(tmp_path) -> RunStore:
    return RunStore(tmp_path)


@pytest.fixture
def student(store) -> ResolvedRun:
    teacher = _finished(store, _resolved({}), seed=0)
    taught = {"objective": {"name": "distillation"}, "teachers": [BASE]}
    return _finished(store, _resolved(taught, teacher), seed=1)


def test_a_record_has_its_teachers(store, student) -> None:
    record = read_record(store, student.identity)
    (teacher,) = record.teachers
    assert record.run == student.run
    assert teacher.run == student.teachers[0].run
    assert not torch.equal(teacher.predictions["test.logits"], record.predictions["test.logits"])
    assert record.history == ({"epoch": 1, "objective": 0.5},)


@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_a_teacher_whose_record_is_not_whole_is_named(store, student, damage) -> None:
    folder = store.path(student.teachers[0].identity)
    if damage == "gone":
        shutil.rmtree(folder)
    else:
        (folder / PREDICTIONS).write_bytes((folder / PREDICTIONS).read_bytes()[:-1] + b"?")
    words = rf"teachers: an intact record in '{folder}'; got none, or a damaged one; train that run again"
    for reading in (read_record, measure_record):
        with pytest.raises(InputError, match=words):
            reading(store, student.identity)
