"""Searches on small data: recommendations, seeds, pruning, interruptions, and labels that are never read."""

import json
import random
import sys
from pathlib import Path

import pytest

from softtargets._errors import InputError
from softtargets.cli.commands import app
from softtargets.runs.record import read_history
from softtargets.runs.store import RunStore
from softtargets.train import loop
from softtargets.tune import tune
from softtargets.tune.guard import FIRST_SEED

SPEC = {
    "data": {"name": "digits", "limit": {"train": 120, "validation": 150, "test": 60}},
    "model": {"name": "mlp", "hidden": [8]},
    "optimizer": {"learning_rate": 0.003, "momentum": 0.9},
    "training": {"epochs": 4, "batch_size": 20, "precision": "float32"},
}
RATE = "optimizer.learning_rate=1e-4:0.3:log"


@pytest.fixture
def needs_optuna() -> None:
    pytest.importorskip("optuna", reason="needs optuna: pip install 'softtargets[tune]'")


def _search(folder: Path, **options):
    return tune(SPEC, [RATE], **{"trials": 7, "seeds": 3, "workers": 1, "runs": folder, **options})


@pytest.mark.usefixtures("needs_optuna")
def test_a_far_too_low_learning_rate_is_raised_on_the_evidence_of_fresh_seeds(tmp_path) -> None:
    found = _search(tmp_path)
    assert found.default.values == {"optimizer.learning_rate": 0.003}
    assert [trial.number for trial in found.trials] == list(range(7))
    assert found.changes
    assert found.best is not None
    assert found.best.values["optimizer.learning_rate"] > 0.006
    assert found.guard is not None
    assert found.guard.seeds == (FIRST_SEED, FIRST_SEED + 1, FIRST_SEED + 2)
    assert found.guard.interval[1] < 0
    assert found.recommended.optimizer.learning_rate == found.best.values["optimizer.learning_rate"]
    assert found.recommended.training.evaluate_every is None, "as it was given"
    # the recommendation does not depend on whether runs are present
    assert _search(tmp_path).to_dict() == found.to_dict()
    other = _search(tmp_path, seed=1)
    assert [trial.values for trial in other.trials] != [trial.values for trial in found.trials]
    assert other.default == found.default


@pytest.mark.usefixtures("needs_optuna")
def test_a_field_that_changes_nothing_is_not_recommended(tmp_path) -> None:
    """The weight of pseudo-labels without unlabelled rows: all runs of a seed have the same numbers."""
    spec = {**SPEC, "objective": {"name": "pseudo_labels"}}
    found = tune(spec, ["objective.weight=0:3"], trials=3, seeds=3, workers=1, runs=tmp_path)
    assert {trial.nll for trial in found.trials} == {found.default.nll}
    assert not found.changes
    assert found.recommended.objective == found.run.objective


@pytest.mark.usefixtures("needs_optuna")
def test_bad_trials_are_pruned_and_an_interrupted_search_continues(tmp_path, monkeypatch) -> None:
    whole = _search(tmp_path / "whole", trials=9)
    pruned = [trial for trial in whole.trials if trial.status == "pruned"]
    assert pruned
    for trial in pruned:
        assert trial.epochs < 4
        assert RunStore(tmp_path / "whole").result(trial.identity) is None
    finished = [trial.nll for trial in whole.trials if trial.status == "finished" and trial.nll is not None]
    assert all(trial.nll is not None and trial.nll > min(finished) for trial in pruned)

    class KilledError(BaseException):
        pass

    original, left = loop.Trainer._train_epoch, [11]

    def dies(self):
        left[0] -= 1
        if left[0] == 0:
            raise KilledError
        return original(self)

    with monkeypatch.context() as patched:
        patched.setattr(loop.Trainer, "_train_epoch", dies)
        with pytest.raises(KilledError):
            _search(tmp_path / "killed", trials=9)
    assert _search(tmp_path / "killed", trials=9).to_dict() == whole.to_dict()


@pytest.mark.usefixtures("needs_optuna")
def test_the_last_epoch_is_compared_whatever_evaluate_every_says(tmp_path) -> None:
    training = {**SPEC["training"], "epochs": 3, "evaluate_every": 2}
    found = tune({**SPEC, "training": training}, [RATE], trials=3, seeds=3, workers=1, runs=tmp_path)
    assert found.guard is not None
    assert found.recommended.training.evaluate_every == 2, "as it was given"
    history = read_history(RunStore(tmp_path).path(found.default.identity))
    assert (history[-1]["epoch"], history[-1]["validation_nll"]) == (3, found.default.nll)


@pytest.mark.usefixtures("needs_optuna")
def test_patience_that_counts_several_epochs_is_refused_before_training(tmp_path) -> None:
    training = {**SPEC["training"], "evaluate_every": 2, "patience": 3}
    with pytest.raises(InputError, match=r"^training.evaluate_every: 1 with patience.*got 2; .*patience to 6"):
        tune({**SPEC, "training": training}, [RATE], trials=2, seeds=3, runs=tmp_path)
    assert not list(RunStore(tmp_path).recorded())


@pytest.mark.usefixtures("needs_optuna")
@pytest.mark.parametrize("by", ["nll", "accuracy"])
def test_search_and_guard_read_the_same_scores_where_labels_are_votes(tmp_path, by) -> None:
    draw = random.Random(0)
    rows = [(k := draw.randrange(2), 10 - 3 * k, 1 + 3 * k, draw.gauss(k, 1), draw.gauss(-k, 1)) for _ in range(90)]
    lines = [f"{first},{second},{x},{y}" for _, first, second, x, y in rows]
    (tmp_path / "votes.csv").write_text("\n".join(["votes_a,votes_b,x,y", *lines]))
    data = {"name": str(tmp_path / "votes.csv"), "votes": "votes", "features": ["x", "y"], "validation": 0.4}
    store = RunStore(tmp_path / "runs")
    found = tune({**SPEC, "data": data}, [RATE], trials=2, seeds=3, by=by, workers=1, runs=store.folder)
    assert found.guard is not None
    runs = [run for run in store.recorded() if run.run.seeds.order == FIRST_SEED]
    last = {read_history(store.path(run.identity))[-1][f"validation_votes_{by}"] for run in runs}
    assert {found.guard.default[0], found.guard.best[0]} == last


@pytest.mark.usefixtures("needs_optuna")
def test_test_labels_are_never_read(tmp_path) -> None:
    """With other test labels, everything is the same except the identities of the runs."""
    found = []
    for shuffled in (0, 1):
        draw, folder = random.Random(0), tmp_path / f"data{shuffled}"
        folder.mkdir()
        for split in ("train", "validation", "test"):
            rows = [(k := draw.randrange(2), draw.gauss(k, 1), draw.gauss(-k, 1)) for _ in range(60)]
            wrong = shuffled and split == "test"
            lines = [f"{1 - k if wrong else k},{x},{y}" for k, x, y in rows]
            (folder / f"{split}.csv").write_text("\n".join(["label,x,y", *lines]))
        spec = {**SPEC, "data": {"name": str(folder)}}
        result = tune(spec, [RATE], trials=3, seeds=3, workers=1, by="accuracy", runs=tmp_path / "runs")
        rows = [(t.status, t.values, t.nll, t.accuracy) for t in (result.default, *result.trials)]
        found.append((rows, result.sentence))
    assert found[0] == found[1]


@pytest.mark.usefixtures("needs_optuna")
def test_trials_that_diverge_are_shown_and_a_default_that_does_is_an_error(tmp_path) -> None:
    found = tune(SPEC, ["optimizer.learning_rate=1e20:1e30:log"], trials=2, seeds=3, workers=1, runs=tmp_path)
    assert {trial.status for trial in found.trials} == {"failed"}
    assert all("finite" in trial.message for trial in found.trials)
    assert found.sentence == "Keep the default: no trial was better."
    bad = {**SPEC, "optimizer": {"learning_rate": 1e30}}
    with pytest.raises(InputError, match=r"specification: a run that trains to the end; got .*finite"):
        tune(bad, [RATE], trials=2, seeds=3, workers=1, runs=tmp_path)


@pytest.mark.usefixtures("needs_optuna")
def test_the_command_prints_a_table_and_writes_the_specification(tmp_path, capsys) -> None:
    (tmp_path / "spec.toml").write_text(
        '[data]\nname = "digits"\nlimit = { train = 120, validation = 150, test = 60 }\n'
        '[model]\nname = "mlp"\nhidden = [8]\n[training]\nepochs = 2\nbatch_size = 20\n'
    )
    given = ["tune", str(tmp_path / "spec.toml"), "--field", "objective.smoothing=0:0.3", "--trials", "2"]
    given += [
        "--seeds",
        "3",
        "--workers",
        "1",
        "--runs",
        str(tmp_path / "runs"),
        "--output",
        str(tmp_path / "out.toml"),
    ]
    app(given, standalone_mode=False)
    shown = capsys.readouterr()
    assert shown.out.startswith(("Keep the default: ", "Use objective.smoothing"))
    for name in ("default", "trial 0", "trial 1", "recommended specification: "):
        assert name in shown.out
    assert "trial 0" in shown.err
    assert (tmp_path / "out.toml").read_text().startswith("[data]")
    app([*given, "--json"], standalone_mode=False)
    content = json.loads(capsys.readouterr().out)
    assert len(content["trials"]) == 2


@pytest.mark.usefixtures("needs_optuna")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"by": "loss"}, "by"),
        ({"trials": 0}, "trials"),
        ({"seeds": 2}, "seeds"),
    ],
)
def test_bad_settings_are_refused(tmp_path, options, words) -> None:
    with pytest.raises((ValueError, TypeError), match=f"^{words}: "):
        _search(tmp_path, **options)
    assert not (tmp_path / "cache").exists()


@pytest.mark.usefixtures("needs_optuna")
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": {"name": "digits", "validation": 0.0}}, "data: a validation split.*; got none; set data.validation"),
        ({"ensemble": {"name": "seeds", "size": 2}}, "specification: ensemble: left out of the specification of"),
    ],
)
def test_errors_name_what_the_user_wrote(tmp_path, changes, words) -> None:
    with pytest.raises(InputError, match=f"^{words}"):
        tune({**SPEC, **changes}, [RATE], trials=2, seeds=3, runs=tmp_path)


def test_without_optuna_the_package_is_named(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match=r"tune: the package optuna; .*run pip install 'softtargets\[tune\]'"):
        _search(tmp_path)
