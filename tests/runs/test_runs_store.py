"""The store: nothing half there, nothing lost, no run trained twice."""

import json
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


def _finished(folder) -> RunStore:
    store = RunStore(folder)
    partial = store.begin(RESOLVED)
    for name in (HISTORY, PREDICTIONS, MODEL):
        (partial / name).write_bytes(name.encode())
    (partial / ".left.tmp").write_bytes(b"of a killed process")
    store.finish(ID, {"steps": 3})
    return store


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
    store.fail(ID, Failure("loss: finite; got nan at step 3", final=True))
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
