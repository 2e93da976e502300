"""Caches of teachers: with all classes the live teacher, shared by students, corrected where they are damaged."""

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from training import train

from softtargets._errors import InputError
from softtargets.distill import TeacherCache
from softtargets.distill.cache import format as cache_format
from softtargets.runs.network import TrainedModel, load_trained
from softtargets.runs.spec import ResolvedRun
from softtargets.runs.store import HISTORY, MODEL, PREDICTIONS, RunStore
from softtargets.train import teachers
from softtargets.train.execute import validate_setup

TEACHER = {
    "data": {"name": "digits", "limit": {"train": 120, "validation": 40, "test": 60}},
    "model": {"name": "mlp", "hidden": [24]},
    "training": {"epochs": 2, "batch_size": 32, "precision": "float32"},
}
FLOAT32 = {"dtype": "float32"}


@pytest.fixture
def student(small_run):
    """Return a function from settings of the objective to a student of one teacher."""

    def make(changes: dict | None = None, **objective) -> ResolvedRun:
        return small_run(objective={"name": "distillation", **objective}, teachers=[TEACHER], **(changes or {}))

    return make


@pytest.fixture(autouse=True)
def small_shards(monkeypatch) -> None:
    # 120 examples: chunks of 25 asked, files of 40 written
    monkeypatch.setattr(teachers, "ROWS", 25)
    monkeypatch.setattr(teachers, "ROWS_PER_SHARD", 40)


def _trained(run: ResolvedRun, store: RunStore) -> dict[str, torch.Tensor]:
    outcome = train(run, store)
    assert outcome.status in ("trained", "present"), outcome.message
    return load_file(store.path(run.identity) / MODEL)


def _caches(store: RunStore) -> list[Path]:
    return sorted((store.folder / "teachers").iterdir())


def _history(store: RunStore, run: ResolvedRun) -> list[float]:
    lines = (store.path(run.identity) / HISTORY).read_text().splitlines()
    return [json.loads(line)["objective"] for line in lines]


@pytest.mark.parametrize("temperature", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("k", [None, 10])
def test_a_student_of_a_cache_of_all_classes_is_the_live_teachers(student, tmp_path, temperature, k) -> None:
    store = RunStore(tmp_path)
    live = student(temperature=temperature, weight=0.7)
    cached = student(temperature=temperature, weight=0.7, cache={**FLOAT32, "k": k})
    expected, got = _trained(live, store), _trained(cached, store)
    assert live.identity != cached.identity
    for name in expected:
        torch.testing.assert_close(got[name], expected[name], rtol=0, atol=1e-6)
    assert _history(store, cached) == pytest.approx(_history(store, live), abs=1e-6)


@pytest.mark.parametrize("objective", [{"loss": "dist"}, {"standardized": True}, {"smoothing": 0.2}])
def test_so_it_is_by_other_losses_of_all_classes(student, tmp_path, objective) -> None:
    store = RunStore(tmp_path)
    expected = _trained(student(temperature=2.0, **objective), store)
    got = _trained(student(temperature=2.0, cache=FLOAT32, **objective), store)
    for name in expected:
        torch.testing.assert_close(got[name], expected[name], rtol=0, atol=1e-5)


def test_an_ensemble_may_be_cached(small_run, tmp_path) -> None:
    store, other = RunStore(tmp_path), {**TEACHER, "seeds": {"initialisation": 1}}
    settings = {"name": "distillation", "temperature": 2.0}
    live = small_run(objective=settings, teachers=[TEACHER, other])
    cached = small_run(objective={**settings, "cache": FLOAT32}, teachers=[TEACHER, other])
    expected, got = _trained(live, store), _trained(cached, store)
    for name in expected:
        torch.testing.assert_close(got[name], expected[name], rtol=0, atol=1e-6)
    assert len(_caches(store)) == 2


def test_a_teacher_is_asked_once_for_all_students(student, tmp_path, monkeypatch) -> None:
    asked: list[int] = []
    original = TrainedModel.logits

    def counts(self, inputs):
        asked.append(len(inputs))
        return original(self, inputs)

    monkeypatch.setattr(TrainedModel, "logits", counts)
    store = RunStore(tmp_path)
    runs = [student(temperature=t, cache=FLOAT32) for t in (1.0, 4.0)]
    runs.append(student({"model": {"hidden": [8]}}, loss="dkd", cache=FLOAT32))
    for run in runs:
        _trained(run, store)
    assert asked == [25, 25, 25, 25, 20]
    (folder,) = _caches(store)
    cache = TeacherCache.open(folder, teacher=runs[0].teachers[0].identity, data=runs[0].fingerprint)
    cache.verify()
    assert (len(cache), cache.plan.keep.temperature) == (120, 1.0)


def test_what_a_cache_depends_on_has_a_cache_of_its_own(student, tmp_path) -> None:
    store = RunStore(tmp_path)
    sampled = {"kind": "sampled", "draws": 5}
    different = [
        student(cache={}),
        student(cache=FLOAT32),
        student(cache={"k": 3}),
        student(cache={"k": 3, "residual": "drop"}),
        student(temperature=2.0, cache={"k": 3}),
        student(cache=sampled),
        student({"seeds": {"method": 1}}, cache=sampled),
        student(cache={**sampled, "proposal_temperature": 2.0}),
        student({"training": {"threads": 2}}, cache={}),  # whose sums may end in other bits
    ]
    for count, run in enumerate(different, start=1):
        _trained(run, store)
        assert len(_caches(store)) == count
    alike = [
        student({"seeds": {"method": 1, "order": 3}}, cache={"k": 3}),
        student({"seeds": {"order": 1}}, cache=sampled),
    ]
    for run in alike:
        _trained(run, store)
    assert len(_caches(store)) == len(different)


def test_draws_are_of_the_stream_of_the_methods_seed(student, tmp_path) -> None:
    def drawn(folder: str, seed: int, elsewhere: int) -> bytes:
        store = RunStore(tmp_path / folder)
        with torch.random.fork_rng():
            torch.manual_seed(elsewhere)
            _trained(student({"seeds": {"method": seed}}, cache={"kind": "sampled", "draws": 5}), store)
        (cache,) = _caches(store)
        return (cache / "shard-00000.safetensors").read_bytes()

    first = drawn("one", seed=0, elsewhere=0)
    assert drawn("two", seed=0, elsewhere=1) == first
    assert drawn("three", seed=1, elsewhere=0) != first


def test_the_k_largest_and_draws_are_what_the_student_learns_from(student, tmp_path, monkeypatch) -> None:
    """Each batch's targets against the teacher's own answers, and their loss written out."""
    seen: list = []
    original = teachers.read_cache

    def watches(caches, device):
        teach = original(caches, device)
        return lambda ids, inputs: seen.append((ids, teach(ids, inputs))) or seen[-1][1]

    monkeypatch.setattr(teachers, "read_cache", watches)
    store = RunStore(tmp_path)
    run = student(temperature=2.0, cache={"k": 3, "residual": "drop", **FLOAT32})
    _trained(run, store)
    predictions = load_file(store.path(run.teachers[0].identity) / PREDICTIONS)
    probs = torch.zeros(1797, 10)
    probs[predictions["train.ids"]] = (predictions["train.logits"] / 2).softmax(-1)
    ids, (targets,) = seen[0]
    top = probs[ids].topk(3)
    expected = torch.zeros(len(ids), 10).scatter(-1, top.indices, top.values)
    torch.testing.assert_close(targets.to_dense(10), expected)
    del seen[:]
    drawn = student(temperature=2.0, cache={"kind": "sampled", "draws": 4000})
    _trained(drawn, store)
    ids, (targets,) = seen[0]
    # 5 standard deviations of a share of 4000 draws at most
    assert float((targets.to_dense(10) - probs[ids]).abs().max()) < 5 * (0.25 / 4000) ** 0.5


@pytest.mark.parametrize("name", ["shard-00001.safetensors", "index.safetensors", "manifest.json", "plan.json"])
@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_a_damaged_cache_is_set_aside_and_made_again(student, tmp_path, name, damage) -> None:
    store = RunStore(tmp_path)
    _trained(student(cache=FLOAT32), store)
    (folder,) = _caches(store)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    content = before[name]
    changed = bytearray(content)
    changed[len(changed) // 2] ^= 1
    if damage == "gone":
        (folder / name).unlink()
    else:
        (folder / name).write_bytes({"cut": content[: len(content) // 2], "changed": bytes(changed)}[damage])
    second = student({"seeds": {"order": 1}}, cache=FLOAT32)
    _trained(second, store)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    aside = [path.name for path in _caches(store) if path != folder]
    # without its manifest a cache is one in the making, which is gone on with
    assert aside == ([] if (name, damage) == ("manifest.json", "gone") else [f"{folder.name}.damaged-1"])


@pytest.mark.parametrize(
    "name", [".lock", "shard-00001.safetensors", "index.safetensors", "manifest.json", "plan.json"]
)
@pytest.mark.parametrize("kind", ["device", "pipe", "folder"])
def test_a_cache_with_anything_but_regular_files_is_set_aside(student, tmp_path, name, kind) -> None:
    store = RunStore(tmp_path)
    _trained(student(cache=FLOAT32), store)
    (folder,) = _caches(store)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    path = folder / name
    path.unlink()
    {"device": lambda: path.symlink_to("/dev/zero"), "pipe": lambda: os.mkfifo(path), "folder": path.mkdir}[kind]()
    _trained(student({"seeds": {"order": 1}}, cache=FLOAT32), store)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_anothers_cache_in_its_place_is_set_aside(student, tmp_path) -> None:
    store = RunStore(tmp_path)
    _trained(student(cache=FLOAT32), store)
    (folder,) = _caches(store)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for name in ("plan.json", "manifest.json"):
        content = json.loads((folder / name).read_text())
        content["plan"]["teacher"] = "another"
        if "checksum" in content:
            del content["checksum"]
            (folder / name).write_bytes(cache_format.sealed(content))
        else:
            (folder / name).write_bytes(cache_format.json_bytes(content))
    assert TeacherCache.open(folder, teacher="another")
    _trained(student({"seeds": {"order": 1}}, cache=FLOAT32), store)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert len(_caches(store)) == 2


def test_a_cache_that_cannot_be_written_is_no_damage(student, tmp_path, monkeypatch) -> None:
    store, run = RunStore(tmp_path), student(cache=FLOAT32)

    def full(*arguments, **settings):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(teachers, "write_cache", full)
        outcome = train(run, store)
    assert (outcome.status, "No space left" in outcome.message) == ("failed", True)
    assert train(run, store).status == "trained"
    assert len(_caches(store)) == 1


def test_more_classes_than_there_are_are_refused_before_training(student, tmp_path) -> None:
    words = r"objective\.cache\.k: at most 10, the number of classes; got 11; drop it to keep all classes"
    with pytest.raises(InputError, match=words):
        validate_setup([student(cache={"k": 11})], RunStore(tmp_path))


@pytest.mark.parametrize("damage", ["cut", "gone", "of another network"])
def test_a_network_that_is_not_there_is_named(student, tmp_path, damage) -> None:
    from softtargets.data.sources import load_cached

    store, run = RunStore(tmp_path), student()
    _trained(run, store)
    (teacher,) = run.teachers
    path = store.path(teacher.identity) / MODEL
    content = path.read_bytes()
    path.unlink()
    if damage != "gone":
        other = (store.path(run.identity) / MODEL).read_bytes()
        path.write_bytes(content[:99] if damage == "cut" else other)
    dataset = load_cached(run.run.data, str(store.cache))
    with pytest.raises(InputError, match=r"runs: the network of a finished run in .*train that run again"):
        load_trained(teacher, dataset, store)
