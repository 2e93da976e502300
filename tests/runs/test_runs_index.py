"""The index of a store: the same listing without reading, and every change of a file is seen."""

import json
import os
import shutil
from pathlib import Path

import pytest
from training import train

from softtargets.data import fingerprint
from softtargets.runs import index, list_runs, listing
from softtargets.runs.index import INDEX, RunFiles
from softtargets.runs.spec import RunSpec
from softtargets.runs.store import HISTORY, MODEL, PREDICTIONS, RESULT, SPEC, Failure, RunStore
from softtargets.train.execute import resolve

RUN = RunSpec.parse(
    {
        "data": {"name": "digits", "limit": {"train": 100, "validation": 40, "test": 50}},
        "model": {"name": "mlp", "hidden": [8]},
        "training": {"epochs": 1, "precision": "float32"},
    }
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a finished, a failed and a partial run."""
    store = RunStore(tmp_path_factory.mktemp("index") / "runs")
    found = fingerprint(RUN.data)
    finished, failed, partial = (resolve(RUN.changed(seeds=RUN.seeds.changed(order=n)), found) for n in range(3))
    assert train(finished, store).status == "trained"
    store.fail(failed, Failure("no memory", final=False))
    store.begin(partial)
    return store.folder


@pytest.fixture
def store(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunStore:
    """A copy whose files count as settled."""
    monkeypatch.setattr(index, "_SETTLED_SECONDS", -10.0)
    return RunStore(shutil.copytree(made, tmp_path / "runs"))


def refuse(*_: object, **__: object) -> None:
    raise AssertionError("a run was read again")


def test_unchanged_runs_are_not_read_again(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    first = list_runs(store.folder)
    assert sorted(entry.status for entry in first.runs) == ["failed", "finished", "partial"]
    assert all(entry.data == "digits" for entry in first.runs)
    with monkeypatch.context() as patched:
        patched.setattr(listing, "_read", refuse)
        assert list_runs(store.folder) == first
        assert len(list_runs(store.folder, status="failed").runs) == 1
        assert list_runs(store.folder) == first, "a filter does not drop the others from the index"
    monkeypatch.setattr(listing, "_read", refuse)
    with pytest.raises(AssertionError, match="read again"):
        list_runs(store.folder, verify=True)


@pytest.mark.parametrize("name", [MODEL, PREDICTIONS, RESULT, SPEC, HISTORY])
@pytest.mark.parametrize("change", ["cut", "removed", "same size"])
def test_a_change_of_a_file_is_seen(store: RunStore, name: str, change: str) -> None:
    list_runs(store.folder)
    [folder] = [path for path in store.folder.iterdir() if (path / MODEL).exists()]
    path = folder / name
    content = path.read_bytes()
    if change == "removed":
        path.unlink()
    else:
        path.write_bytes(content[:-9] if change == "cut" else bytes(len(content)))
    entries = {entry.identity: entry for entry in list_runs(store.folder).runs}
    # of a file with the same size, only what is read of it without `verify` can show the change
    expected = "finished" if change == "same size" and name in (MODEL, HISTORY) else "damaged"
    assert entries[folder.name].status == expected


def test_a_new_and_a_removed_run_are_seen(store: RunStore) -> None:
    before = {entry.identity for entry in list_runs(store.folder).runs}
    [finished] = [path for path in store.folder.iterdir() if (path / MODEL).exists()]
    shutil.rmtree(finished)
    store.begin(resolve(RUN.changed(seeds=RUN.seeds.changed(order=9)), fingerprint(RUN.data)))
    after = {entry.identity for entry in list_runs(store.folder).runs}
    assert len(after - before) == len(before - after) == 1
    kept = json.loads((store.folder / INDEX).read_text())["entries"]
    assert kept.keys() == after


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b'{"version": 0, "entries": {}}', b'{"version": 1, "entries": 3}']
)
def test_a_damaged_index_is_made_again(store: RunStore, content: bytes) -> None:
    first = list_runs(store.folder)
    kept = (store.folder / INDEX).read_bytes()
    (store.folder / INDEX).write_bytes(content)
    assert list_runs(store.folder) == first
    assert (store.folder / INDEX).read_bytes() == kept


def test_entries_of_a_damaged_index_are_not_taken(store: RunStore) -> None:
    first = list_runs(store.folder)
    content = json.loads((store.folder / INDEX).read_text())
    content["entries"] = dict(zip(content["entries"], [[1], ["x", {}], "y"], strict=True))
    (store.folder / INDEX).write_text(json.dumps(content))
    assert list_runs(store.folder) == first


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_store_that_cannot_be_written_is_listed(store: RunStore) -> None:
    store.folder.chmod(0o500)
    try:
        assert len(list_runs(store.folder).runs) == 3
    finally:
        store.folder.chmod(0o700)


def test_what_changed_a_moment_ago_is_not_kept(made: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(made, tmp_path / "runs", copy_function=shutil.copy)  # with new times
    list_runs(folder)
    assert not (folder / INDEX).exists()


def test_a_folder_in_a_run_is_looked_at_each_time(store: RunStore) -> None:
    [partial] = store.folder.glob("*.partial")
    (partial / "more").mkdir()
    assert RunFiles.of(partial) is None
    assert len(list_runs(store.folder).runs) == 3
    kept = json.loads((store.folder / INDEX).read_text())["entries"]
    assert len(kept) == 2
    assert partial.name.removesuffix(".partial") not in kept
