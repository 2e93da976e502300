"""Loggers: what they write, what they do when a run is resumed or they fail, and that a run does not depend on them."""

import importlib
import importlib.util
import json
import os
import subprocess
import sys
import time
from typing import Any

import pytest
from training import KilledError, files_of

from softtargets._errors import InputError
from softtargets._packages import is_installed
from softtargets.data import fingerprint
from softtargets.runs.loggers import LOGGERS, Logger, Loggers
from softtargets.runs.spec import RunSpec
from softtargets.runs.store import RunStore
from softtargets.train import loop
from softtargets.train.execute import execute, resolve, validate_setup

SMALL: dict[str, Any] = {
    "data": {"name": "digits", "limit": {"train": 120, "validation": 40, "test": 60}},
    "model": {"name": "mlp", "hidden": [16]},
    "training": {"epochs": 3, "batch_size": 32, "precision": "float32", "evaluate_every": 2},
}


def _resolved(*names: str):
    run = RunSpec.parse({**SMALL, "training": {**SMALL["training"], "loggers": list(names)}})
    return resolve(run, fingerprint(run.data))


def _needs(name: str):
    package = LOGGERS[name].package
    return pytest.mark.skipif(not is_installed(package), reason=f"{package} is not installed")


each = pytest.mark.parametrize("name", [pytest.param(name, marks=_needs(name)) for name in LOGGERS])


def _away_from_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "WANDB_MODE", "WANDB_API_KEY", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", os.devnull)


def _read(name: str, store: RunStore, identity: str) -> dict[str, list[tuple[int, float]]]:
    """Return the metrics that a logger wrote: (step, value) by name."""
    if name == "tensorboard":
        events = importlib.import_module("tensorboard.backend.event_processing.event_accumulator")
        found = events.EventAccumulator(str(store.folder / "tensorboard" / identity))
        found.Reload()
        return {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}
    if name == "wandb":
        return _read_wandb(store, identity)
    client = importlib.import_module("mlflow").MlflowClient(tracking_uri=(store.folder / "mlflow").as_uri())
    experiment = client.get_experiment_by_name("softtargets")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["training.batch_size"] == "32"
    history = {key: client.get_metric_history(run.info.run_id, key) for key in run.data.metrics}
    return {key: sorted({(metric.step, metric.value) for metric in found}) for key, found in history.items()}


def _read_wandb(store: RunStore, identity: str) -> dict[str, list[tuple[int, float]]]:
    """Read the files of all parts of a run with W&B's own program: a value that was logged again counts once."""
    found: dict[str, set[tuple[int, float]]] = {}
    paths = sorted((store.folder / "wandb").glob(f"offline-run-*-{identity}/run-{identity}.wandb"))
    for path in paths:
        command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(path)]
        lines = subprocess.run(command, check=True, capture_output=True, text=True, timeout=200).stdout.splitlines()
        records = [json.loads(line) for line in lines]
        (begun,) = (record["run"] for record in records if record["type"] == "run")
        assert (begun["run_id"], begun["project"]) == (identity, "softtargets")
        assert begun["config"]["update"]["training"]["batch_size"] == 32
        (*_, ended) = records
        assert ended["exit"].get("exit_code", 0) == (0 if path == paths[-1] else 1)
        for row in (record["history"]["item"] for record in records if record["type"] == "history"):
            for key in row.keys() - {"_runtime", "_step", "_timestamp"}:
                found.setdefault(key, set()).add((row["_step"], row[key]))
    return {key: sorted(values) for key, values in found.items()}


@each
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_the_metrics_of_the_history_are_written(name, tmp_path, monkeypatch) -> None:
    _away_from_servers(monkeypatch)
    monkeypatch.setattr(loop, "LOGGED_STEPS", 2)
    resolved, store = _resolved(name), RunStore(tmp_path)
    assert execute(resolved, store).status == "trained"
    found = _read(name, store, resolved.identity)
    assert set(found) == {"objective", "learning_rate", "validation_accuracy", "validation_nll", "step_objective"}
    assert [step for step, _ in found["objective"]] == [4, 8, 12]
    assert [step for step, _ in found["validation_nll"]] == [8]
    assert [step for step, _ in found["step_objective"]] == [2, 4, 6, 8, 10, 12]
    means = [value for _, value in found["step_objective"]]
    assert found["objective"][0][1] == pytest.approx((means[0] + means[1]) / 2, rel=1e-5)


@each
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_resumed_run_goes_on_in_the_same_place(name, tmp_path, monkeypatch) -> None:
    _away_from_servers(monkeypatch)
    resolved, store = _resolved(name), RunStore(tmp_path)
    step = loop.Learner.step

    def dies(self, batch, save=False):
        left.pop()
        if not left:
            raise KilledError
        return step(self, batch, save)

    left = list(range(7))
    with monkeypatch.context() as patch:
        patch.setattr(loop.Learner, "step", dies)
        with pytest.raises(KilledError):
            execute(resolved, store, checkpoint_seconds=0)
    if name == "wandb":  # it names the folder of each part after the second in which it began
        time.sleep(1.1)
    assert execute(resolved, store).status == "trained"
    assert [step for step, _ in _read(name, store, resolved.identity)["objective"]] == [4, 8, 12]


@_needs("wandb")
@pytest.mark.parametrize(
    ("asked", "credentials", "mode"),
    [(None, True, "online"), (None, False, "offline"), ("online", False, "offline"), ("disabled", True, "disabled")],
)
def test_wandb_is_online_only_with_credentials(asked, credentials, mode, tmp_path, monkeypatch) -> None:
    wandb: Any = importlib.import_module("wandb")
    _away_from_servers(monkeypatch)
    if asked is not None:
        monkeypatch.setenv("WANDB_MODE", asked)
    begun: dict[str, Any] = {}
    monkeypatch.setattr(wandb, "login", lambda **given: credentials and given == {"prompt": False, "verify": False})
    monkeypatch.setattr(wandb, "init", lambda **given: begun.update(given))
    specification = {"model": {"name": "mlp"}, "objective": {"name": "cross_entropy"}}
    Loggers(("wandb",), tmp_path, "a" * 64, specification, 4)
    assert (begun["mode"], begun["id"], begun["resume"]) == (mode, "a" * 64, "allow")
    assert begun["name"] == "mlp cross_entropy aaaaaaaa"


class Broken(Logger):
    """Fails at its second call."""

    package, extra = "json", "json"
    calls = 0

    def log(self, values, step) -> None:
        type(self).calls += 1
        if self.calls == 2:
            raise ConnectionError("no server")

    def close(self, finished) -> None:
        raise AssertionError("it was left out")


def test_a_logger_that_fails_is_left_out_and_the_run_is_the_same(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(LOGGERS, "broken", Broken)
    plain, logged = _resolved(), _resolved("broken")
    assert plain.identity == logged.identity
    stores = RunStore(tmp_path / "plain"), RunStore(tmp_path / "logged")
    assert execute(plain, stores[0]).status == "trained"
    with pytest.warns(RuntimeWarning, match="loggers: 'broken' has failed and is left out: no server"):
        assert execute(logged, stores[1]).status == "trained"
    assert Broken.calls == 2
    assert files_of(stores[0], plain.identity) == files_of(stores[1], plain.identity)


def test_a_logger_that_cannot_begin_is_left_out(tmp_path, monkeypatch) -> None:
    class Unreachable(Broken):
        def __init__(self, *arguments) -> None:
            raise ConnectionError("no server")

    monkeypatch.setitem(LOGGERS, "unreachable", Unreachable)
    with pytest.warns(RuntimeWarning, match="'unreachable' has failed"):
        assert not Loggers(("unreachable",), tmp_path, "a", {}, 0)


def test_an_unknown_logger_names_the_nearest_one() -> None:
    with pytest.raises(Exception, match=r"loggers: one of tensorboard, mlflow, wandb; got 'tensorbord'; did you mean"):
        _resolved("tensorbord")


def test_a_missing_package_is_named_before_training(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(InputError, match=r"training\.loggers: the package mlflow; .*softtargets\[mlflow\]"):
        validate_setup([_resolved("mlflow")], RunStore(tmp_path))
