"""The command `runs`: the table, JSON, filters and exit codes."""

import json

import pytest

from softtargets.cli import run_safely
from softtargets.cli.errors import BAD_INPUT, DONE
from softtargets.runs.spec import ResolvedRun, RunSpec
from softtargets.runs.store import HISTORY, Failure, RunStore
from softtargets.train import train_run

SPECIFICATION = {
    "data": {"name": "digits", "limit": {"train": 200, "validation": 50, "test": 50}},
    "model": {"name": "mlp", "hidden": [16]},
    "objective": {"name": "cross_entropy", "smoothing": 0.1},
    "training": {"epochs": 2},
}


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> RunStore:
    """A store with a finished, a partial, a failed and a damaged run."""
    store = RunStore(tmp_path_factory.mktemp("cli-runs") / "runs")
    assert train_run(SPECIFICATION, runs=store.folder).status == "trained"
    for fingerprint in ("partial", "failed", "damaged"):
        resolved = ResolvedRun(
            run=RunSpec.parse({**SPECIFICATION, "data": {"name": f"of_{fingerprint}"}, "seeds": 7}),
            fingerprint=fingerprint,
            backend="cpu",
            precision="float32",
            recipe=1,
        )
        folder = store.begin(resolved)
        if fingerprint == "partial":
            (folder / HISTORY).write_text('{"epoch": 1}\n')
        elif fingerprint == "failed":
            store.fail(resolved, Failure("RuntimeError: \x1b[31mno luck", final=False))
        else:
            folder.rename(store.path(resolved.identity))
    return store


def printed(capsys, store: RunStore, *options: str) -> str:
    assert run_safely(["runs", "--runs", str(store.folder), *options]) == DONE
    return capsys.readouterr().out


def test_a_line_for_each_run_and_its_reason(store, capsys) -> None:
    lines = printed(capsys, store).splitlines()
    assert lines[0].split() == [
        "run",
        "status",
        "data",
        "model",
        "objective",
        "seed",
        "test",
        "acc.",
        "(%)",
        "size",
        "date",
    ]
    assert any("finished" in line and "digits" in line and "mlp hidden=16" in line for line in lines)
    assert any("partial, epoch 1 of 2" in line and "of_partial" in line for line in lines)
    assert any("failed" in line and "of_failed" in line for line in lines)
    assert "  RuntimeError: \\x1b[31mno luck" in lines
    assert any("damaged" in line and "of_damaged" in line for line in lines)
    assert "  result.json: No such file or directory" in lines
    assert any(line.startswith("4 runs (1 ") and str(store.folder) in line for line in lines)
    assert lines[-1].startswith("other folders: cache ")


def test_json_is_what_python_returns(store, capsys) -> None:
    found = json.loads(printed(capsys, store, "--json"))
    assert {entry["status"] for entry in found["runs"]} == {"finished", "partial", "failed", "damaged"}
    finished = next(entry for entry in found["runs"] if entry["status"] == "finished")
    assert 0 < finished["test_accuracy"] <= 1
    assert finished["path"] == str(store.path(finished["identity"]))


def test_filters(store, capsys) -> None:
    for options, count in (
        (("--status", "failed"), 1),
        (("--data", "of_"), 3),
        (("--model", "hidden=16", "--verify"), 4),
        (("--objective", "focal"), 0),
        (("f" * 64,), 0),
    ):
        assert len(json.loads(printed(capsys, store, "--json", *options))["runs"]) == count
    assert printed(capsys, store, "--objective", "focal").startswith("0 runs in ")


def test_a_folder_that_does_not_exist_is_bad_input(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_safely(["runs"]) == BAD_INPUT
    assert "softtargets: runs: the folder of a run store; got 'runs'" in capsys.readouterr().err
