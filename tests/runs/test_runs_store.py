"""The run store: complete records only, none lost, none trained twice."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from softtargets.runs import store as stores
from softtargets.runs.spec import ResolvedRun, RunSpec
from softtargets.runs.store import HISTORY, MODEL, PREDICTIONS, RESULT, Failure, RunStore

RESOLVED = ResolvedRun(
    run=RunSpec.parse({"model": {"name": "mlp"}, "training": {"epochs": 1}}),
    fingerprint="f",
    backend="cpu",
    precision="float32",
    recipe=1,
)
ID = RESOLVED.identity


OTHER = RESOLVED.changed(fingerprint="g")


def _finished(folder, resolved=RESOLVED) -> RunStore:
    store = RunStore(folder)
    partial = store.begin(resolved)
    for name in (HISTORY, PREDICTIONS, MODEL):
        (partial / name).write_bytes(name.encode())
    (partial / ".left.tmp").write_bytes(b"of a killed process")
    store.finish(resolved.identity, {"steps": 3})
    return store


def _put(kind: str, path) -> None:
    """Put something in the place of a file that is not a regular file."""
    path.unlink(missing_ok=True)
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")


KINDS = ["device", "pipe", "folder"]


def test_a_finished_run_is_whole_and_the_partial_one_is_gone(tmp_path) -> None:
    store = _finished(tmp_path)
    result = store.result(ID)
    assert result is not None
    assert result["steps"] == 3
    assert {path.name for path in store.path(ID).iterdir()} == {RESULT, HISTORY, PREDICTIONS, MODEL, "spec.json"}
    assert not store.partial(ID).exists()


@pytest.mark.parametrize("name", [HISTORY, PREDICTIONS, MODEL, RESULT, "spec.json"])
@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_any_damage_is_seen_and_set_aside(tmp_path, name, damage) -> None:
    store = _finished(tmp_path)
    path = store.path(ID) / name
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        middle = len(content) // 2
        path.write_bytes(
            content[:middle] + (b"" if damage == "cut" else bytes([content[middle] ^ 1]) + content[middle + 1 :])
        )
    assert store.result(ID) is None
    aside = store.set_damaged_aside(ID)
    assert aside is not None
    assert aside.exists()
    assert not store.path(ID).exists()


@pytest.mark.parametrize("name", [HISTORY, PREDICTIONS, MODEL, RESULT, "spec.json"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_a_regular_file_is_damage(tmp_path, name, kind) -> None:
    store = _finished(tmp_path)
    _put(kind, store.path(ID) / name)
    assert store.result(ID) is None
    assert list(store.recorded()) == ([] if name == "spec.json" else [RESOLVED])
    store.set_damaged_aside(ID)
    assert _finished(tmp_path).result(ID) is not None


def test_a_file_of_absurd_size_is_damage_and_not_read(tmp_path) -> None:
    store = _finished(tmp_path)
    for name in (RESULT, MODEL):
        with (store.path(ID) / name).open("ab") as file:
            file.truncate(2**42)
        assert store.result(ID) is None


@pytest.mark.parametrize("how", ["copied", "linked", "swapped"])
def test_a_folder_that_holds_another_run_is_not_believed(tmp_path, how) -> None:
    _finished(tmp_path, OTHER)
    store = _finished(tmp_path) if how == "swapped" else RunStore(tmp_path)
    ours, other = store.path(ID), store.path(OTHER.identity)
    if how == "copied":
        shutil.copytree(other, ours)
    elif how == "linked":
        ours.symlink_to(other)
    else:
        ours.rename(tmp_path / "swap")
        other.rename(ours)
        (tmp_path / "swap").rename(other)
    assert store.result(ID) is None
    assert (store.result(OTHER.identity) is None) == (how == "swapped")
    assert list(store.recorded()) == ([] if how == "swapped" else [OTHER])
    assert store.set_damaged_aside(ID) is not None
    assert _finished(tmp_path).result(ID) is not None
    assert (store.result(OTHER.identity) is None) == (how == "swapped")


@pytest.mark.parametrize("kind", KINDS)
def test_failures_locks_and_derived_values_replace_what_is_not_a_regular_file(tmp_path, kind) -> None:
    store = RunStore(tmp_path)
    store.put_derived(ID, "metrics", 1)
    (derived,) = (tmp_path / "derived").iterdir()
    (tmp_path / "locks").mkdir()
    for path in (derived, tmp_path / f"{ID}.failed.json", tmp_path / "locks" / f"{ID}.lock"):
        _put(kind, path)
    assert store.derived(ID, "metrics") is None
    store.put_derived(ID, "metrics", 2)
    assert store.derived(ID, "metrics") == 2
    with store.lock(ID, wait=False) as held:
        assert held
    assert store.failure(ID) is None
    _finished(tmp_path)
    _put(kind, tmp_path / f"{ID}.failed.json")
    store.fail(RESOLVED, Failure("full", final=False))
    assert store.failure(ID) == Failure("full", final=False)


@pytest.mark.parametrize("content", [b"[" * 100_000, b"1" * 5000, b"[]", b'{"checksum": 1}', b"null", b"\xff"])
def test_json_that_cannot_be_parsed_is_damage(tmp_path, content) -> None:
    store = _finished(tmp_path)
    store.put_derived(ID, "metrics", 1)
    (derived,) = (tmp_path / "derived").iterdir()
    for path in (store.path(ID) / RESULT, derived, tmp_path / f"{ID}.failed.json"):
        path.write_bytes(content)
    assert store.result(ID) is None
    assert store.derived(ID, "metrics") is None
    assert store.failure(ID) is None


def test_a_whole_record_is_not_set_aside(tmp_path) -> None:
    store = _finished(tmp_path)
    assert store.set_damaged_aside(ID) is None
    assert store.result(ID) is not None


def test_a_disk_that_cannot_be_read_is_no_damage(tmp_path, monkeypatch) -> None:
    store = _finished(tmp_path)

    def breaks(path):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(stores, "checksum_file", breaks)
    with pytest.raises(OSError, match="Input/output"):
        store.set_damaged_aside(ID)
    monkeypatch.undo()
    assert store.result(ID) is not None


def test_two_damaged_records_are_both_kept(tmp_path) -> None:
    for _ in range(2):
        store = _finished(tmp_path)
        (store.path(ID) / MODEL).unlink()
        store.set_damaged_aside(ID)
    assert len(list(tmp_path.glob("*.damaged-*"))) == 2


def test_a_failure_is_recorded_until_the_run_is_finished(tmp_path) -> None:
    store = RunStore(tmp_path)
    store.fail(RESOLVED, Failure("loss: finite; got nan at step 3", final=True))
    assert store.failure(ID) == Failure("loss: finite; got nan at step 3", final=True)
    assert _finished(tmp_path).failure(ID) is None


def test_a_lock_is_held_against_another_process_and_released_when_that_dies(tmp_path) -> None:
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom softtargets.runs.store import RunStore\n"
        f"with RunStore(Path({str(tmp_path)!r})).lock({ID!r}, wait=True) as held:\n"
        "    print(held, flush=True)\n    time.sleep(600)\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == "True"
        with RunStore(tmp_path).lock(ID, wait=False) as held:
            assert not held
    finally:
        holder.kill()
        holder.communicate()
    with RunStore(tmp_path).lock(ID, wait=False) as held:
        assert held


def test_derived_values_are_kept_by_run_and_key_and_damage_is_seen(tmp_path) -> None:
    store = RunStore(tmp_path)
    store.put_derived(ID, "metrics", {"test.accuracy": 0.1})
    assert store.derived(ID, "metrics") == {"test.accuracy": 0.1}
    assert store.derived(ID, "others") is None
    (path,) = (tmp_path / "derived").iterdir()
    content = json.loads(path.read_text())
    content["value"]["test.accuracy"] = 0.9
    path.write_text(json.dumps(content))
    assert store.derived(ID, "metrics") is None
