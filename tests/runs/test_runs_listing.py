"""What a store holds: every state of a run, damaged files of every kind, filters, and runs by their first digits."""

import json
import os
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from training import train

from softtargets._storage import write_atomically
from softtargets.data import fingerprint
from softtargets.runs import find_run, list_runs
from softtargets.runs.listing import in_short
from softtargets.runs.spec import ResolvedRun, RunSpec
from softtargets.runs.store import CHECKPOINT, HISTORY, MODEL, PREDICTIONS, RESULT, SPEC, Failure, RunStore
from softtargets.train.execute import resolve

RUN = RunSpec.parse(
    {
        "data": {"name": "digits", "limit": {"train": 200, "validation": 40, "test": 50}},
        "noise": {"name": "symmetric", "rate": 0.2},
        "model": {"name": "mlp", "hidden": [8, 4]},
        "objective": {"name": "cross_entropy", "smoothing": 0.1},
        "training": {"epochs": 2, "precision": "float32"},
        "seeds": 3,
    }
)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[RunStore, ResolvedRun]:
    store = RunStore(tmp_path_factory.mktemp("listing") / "runs")
    resolved = resolve(RUN, fingerprint(RUN.data))
    assert train(resolved, store).status == "trained"
    return store, resolved


@pytest.fixture
def store(made, tmp_path) -> RunStore:
    """A copy that a test may damage."""
    return RunStore(shutil.copytree(made[0].folder, tmp_path / "runs"))


def _predictions(store: RunStore, identity: str) -> dict[str, torch.Tensor]:
    return load_file(store.path(identity) / PREDICTIONS)


def test_a_finished_run_is_described(made) -> None:
    store, resolved = made
    (entry,) = list_runs(store.folder).runs
    assert (entry.identity, entry.status, entry.path) == (
        resolved.identity,
        "finished",
        store.path(resolved.identity),
    )
    assert (entry.data, entry.noise) == ("digits", "symmetric rate=0.2")
    assert (entry.model, entry.objective) == ("mlp hidden=8,4", "cross_entropy smoothing=0.1")
    assert (entry.seeds, entry.epoch, entry.epochs, entry.reason) == ("3", 2, 2, "")
    found = _predictions(store, resolved.identity)
    expected = float((found["test.logits"].argmax(1) == found["test.labels"]).double().mean())
    assert entry.test_accuracy == pytest.approx(expected)
    assert entry.size == sum(path.stat().st_size for path in store.path(resolved.identity).iterdir())
    assert abs(entry.modified.timestamp() - store.path(resolved.identity).stat().st_mtime) < 1


def test_a_partial_run_has_the_epochs_in_its_history(store) -> None:
    other = resolve(RUN.changed(seeds={"order": 1}), "f")
    folder = store.begin(other)
    entry = list_runs(store.folder, status="partial").runs[0]
    assert (entry.identity, entry.epoch, entry.epochs, entry.seeds) == (other.identity, None, 2, "order 1")
    (folder / HISTORY).write_text('{"epoch": 1, "objective": 2.0}\n{"epo')  # interrupted while writing a line
    entry = list_runs(store.folder, status="partial").runs[0]
    assert (entry.epoch, entry.test_accuracy, entry.reason) == (1, None, "")


def test_a_failed_run_has_its_reason_and_what_is_left_of_it(store) -> None:
    other = resolve(RUN, "f")
    store.begin(other)
    store.fail(other, Failure("RuntimeError: out\nof luck", final=False))
    entry = list_runs(store.folder, status="failed").runs[0]
    assert (entry.identity, entry.reason, entry.model) == (
        other.identity,
        "RuntimeError: out of luck",
        "mlp hidden=8,4",
    )
    store.discard_partial(other.identity)
    entry = list_runs(store.folder, status="failed").runs[0]
    assert (entry.reason, entry.model, entry.epochs) == ("RuntimeError: out of luck", "mlp hidden=8,4", 2)
    # failures of earlier versions have no specification
    path = store.folder / f"{other.identity}.failed.json"
    path.write_text(json.dumps({"message": "earlier", "final": False}))
    entry = list_runs(store.folder, status="failed").runs[0]
    assert (entry.reason, entry.model) == ("earlier", "")


def test_a_finished_run_that_failed_before_is_finished(store, made) -> None:
    store.fail(made[1], Failure("earlier", final=False))
    assert [entry.status for entry in list_runs(store.folder).runs] == ["finished"]


FILES = [RESULT, SPEC, HISTORY, PREDICTIONS, MODEL]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "content", [b"", b"\x00" * 50, b"[" * 10_000, b'{"run": 1, "files": {}}', b"\xff\xfe"], ids=repr
)
def test_a_damaged_file_is_an_entry_with_the_file_and_never_an_error(store, made, name, content) -> None:
    write_atomically(store.path(made[1].identity) / name, content)
    (entry,) = list_runs(store.folder).runs
    assert entry.status == "damaged"
    assert entry.reason
    assert entry.test_accuracy is None
    if name in (HISTORY, PREDICTIONS, MODEL):
        assert entry.reason == f"{name} does not have its recorded size"
        assert entry.data == "digits"


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "loop", "device"])
def test_what_is_not_a_regular_file_is_never_read(store, made, name, kind) -> None:
    path = store.path(made[1].identity) / name
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind != "missing":
        path.symlink_to("/dev/zero" if kind == "device" else path)
    (entry,) = list_runs(store.folder).runs
    assert entry.status == "damaged"


def test_a_changed_bit_is_found_by_verifying(store, made) -> None:
    path = store.path(made[1].identity) / MODEL
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert [entry.status for entry in list_runs(store.folder).runs] == ["finished"]
    (entry,) = list_runs(store.folder, verify=True).runs
    assert (entry.status, entry.reason) == ("damaged", f"{MODEL} does not match its checksum")


def test_records_under_another_name_or_set_aside_are_damaged(store, made) -> None:
    identity = made[1].identity
    moved = "0" * 64
    store.path(identity).rename(store.path(moved))
    (entry,) = list_runs(store.folder).runs
    assert (entry.identity, entry.status, entry.reason) == (moved, "damaged", f"{SPEC} is that of another run")
    aside = store.set_damaged_aside(moved)
    (entry,) = list_runs(store.folder).runs
    assert (entry.identity, entry.status, entry.path) == (moved, "damaged", aside)
    assert entry.reason == "set aside because it was damaged"


def test_a_record_of_another_version_is_listed_by_its_names(store, made) -> None:
    folder = store.path(made[1].identity)
    content = json.loads((folder / SPEC).read_text())
    content["run"]["model"] = {"name": "of_the_future", "gears": 7}
    (folder / SPEC).write_text(json.dumps(content))
    (entry,) = list_runs(store.folder).runs
    assert (entry.status, entry.data, entry.model) == ("damaged", "digits", "of_the_future")


def test_other_files_are_no_runs(store) -> None:
    (store.folder / "notes.txt").write_text("mine")
    (store.folder / "sub").mkdir()
    listing = list_runs(store.folder)
    assert len(listing.runs) == 1
    assert listing.others.keys() == {"cache"}
    (store.folder / "tensorboard").mkdir()
    (store.folder / "tensorboard" / "events").write_text("logged")
    assert list_runs(store.folder).others["tensorboard"] > 0


def test_filters_and_order(store, made) -> None:
    for seed in range(3):
        partial = store.begin(resolve(RUN.changed(seeds=dict.fromkeys(("order", "noise"), seed)), "f"))
        (partial / CHECKPOINT).touch()
        os.utime(partial, (seed * 1000 + 5, seed * 1000 + 5))
    found = list_runs(store.folder).runs
    assert [entry.status for entry in found] == ["finished", "partial", "partial", "partial"]
    assert [entry.seeds for entry in found[1:]] == ["order 2, noise 2", "order 1, noise 1", "0"]
    count = lambda **wanted: len(list_runs(store.folder, **wanted).runs)  # noqa: E731
    assert [count(status="finished"), count(status="failed")] == [1, 0]
    assert [count(data="DIGI"), count(data="cifar"), count(model="hidden=8"), count(objective="0.1")] == [4, 0, 4, 4]
    assert [count(prefix=made[1].identity[:9]), count(prefix="0" * 64)] == [1, 0]


def test_settings_are_shown_in_short() -> None:
    for settings, shown in (
        ({"name": "mlp", "hidden": []}, "mlp hidden=none"),
        ({"name": "import", "import": "my.nets:build", "depth": 20}, "import my.nets:build depth=20"),
        (
            {"name": "transformers", "config": {"depths": [1, 2], "act": "relu"}},
            "transformers config=(depths=1,2 act=relu)",
        ),
        ({"name": "sgd", "learning_rate": 0.1, "flip": True}, "sgd learning_rate=0.1 flip=True"),
    ):
        assert in_short(settings) == shown


def test_short_identities_tell_runs_apart(made) -> None:
    listing = list_runs(made[0].folder)
    (entry,) = listing.runs
    assert listing.short(entry.identity) == entry.identity[:8]
    twin = entry.identity[:11] + "x" * 53
    both = replace(listing, runs=(entry, replace(entry, identity=twin)))
    assert both.short(entry.identity) == entry.identity[:12]
    assert both.short(twin) == twin[:12]


def test_a_listing_is_shown_by_its_numbers(made, store) -> None:
    assert repr(list_runs(made[0].folder)) == f"RunListing(folder='{made[0].folder}', runs: 1 finished)"
    assert repr(list_runs(store.folder, prefix="0" * 64)).endswith("runs: none)")


def test_plain_data_is_json(made) -> None:
    (entry,) = json.loads(json.dumps(list_runs(made[0].folder).to_dict()))["runs"]
    assert entry["status"] == "finished"
    assert entry["modified"].endswith("+00:00")


def test_bad_arguments_say_what_to_do(made, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"runs: the folder of a run store; got 'runs', which does not exist; train a"):
        list_runs()
    (tmp_path / "runs").mkdir()
    with pytest.raises(ValueError, match=r"got 'rums', which does not exist; did you mean 'runs'\?"):
        list_runs("rums")
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="got 'file', which is a file"):
        list_runs("file")
    with pytest.raises(ValueError, match=r"status: one of finished, .*did you mean 'finished'\?"):
        list_runs(made[0].folder, status="finish")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"prefix: the first of the 64 hexadecimal .*; got 'list'; leave it out"):
        list_runs(made[0].folder, prefix="list")


def test_a_run_is_found_by_its_folder_or_its_first_digits(made, store) -> None:
    identity = made[1].identity
    folder = store.path(identity)
    assert find_run(folder) == find_run(identity, store.folder) == find_run(identity[:6], store.folder) == folder
    with pytest.raises(ValueError, match=r"run: the first digits of a finished run's identity; got 'ffff0', which no"):
        find_run("ffff0", store.folder)
    with pytest.raises(ValueError, match=f"run: a folder with a {SPEC}, or the first digits.* which does not exist"):
        find_run("no-such-run", store.folder)
    with pytest.raises(ValueError, match="which has none"):
        find_run(store.folder / "cache", store.folder)
    partial = store.begin(resolve(RUN, "f"))
    with pytest.raises(ValueError, match=rf"which matches {partial.name}"):
        find_run(partial.name[:20], store.folder)
    store.path(identity[:10] + "0" * 54).mkdir()
    with pytest.raises(ValueError, match="run: digits that only one run starts with"):
        find_run(identity[:10], store.folder)
