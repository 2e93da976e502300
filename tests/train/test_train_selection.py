"""Early stopping: when it stops, what it keeps, and what it records."""

import json

import pytest

from softtargets._errors import InputError
from softtargets.runs.store import HISTORY, RunStore
from softtargets.train.execute import execute
from softtargets.train.selection import Selection


def _considered(selection: Selection, *evaluations: tuple[float, float]) -> Selection:
    for epoch, (accuracy, nll) in enumerate(evaluations, 1):
        selection.consider(epoch, accuracy, nll, dict)
    return selection


@pytest.mark.parametrize(
    ("monitor", "epoch", "without_better"),
    # ties do not count as better: epoch 2 has the best accuracy first, epoch 3 the lowest NLL
    [("accuracy", 2, 2), ("nll", 3, 1)],
)
def test_the_best_epoch_is_that_of_the_monitored_number(monitor, epoch, without_better) -> None:
    selection = _considered(Selection(monitor), (0.5, 1.0), (0.7, 0.9), (0.7, 0.8), (0.6, 0.8))
    assert selection.selected is not None
    assert (selection.selected.epoch, selection.without_better) == (epoch, without_better)
    assert not selection.over, "without patience it never stops"


def test_patience_counts_evaluations_in_a_row() -> None:
    selection = _considered(Selection(patience=2), (0.5, 1), (0.4, 1), (0.6, 1), (0.6, 1))
    assert not selection.over
    selection.consider(5, 0.1, 1, dict)
    assert selection.over
    restored = Selection(patience=2)
    restored.load_state_dict(selection.state_dict())
    assert restored.over
    assert restored.selected == selection.selected


@pytest.mark.parametrize(("monitor", "patience"), [(None, 1), ("nll", 2)])
def test_a_run_stops_after_its_patience_and_records_it(small_run, tmp_path, monitor, patience) -> None:
    """At a rate of 0 no evaluation is better than the first one."""
    training = {"evaluate_every": 2, "patience": patience, "epochs": 20}
    training |= {} if monitor is None else {"monitor": monitor}
    resolved, store = small_run(training=training, optimizer={"learning_rate": 1e-30}), RunStore(tmp_path)
    assert execute(resolved, store).status == "trained"
    result = store.result(resolved.identity) or {}
    epochs = 2 * (1 + patience)
    assert (result["epochs"], result["steps"], result["stopped_early"]) == (epochs, 4 * epochs, True)
    assert result["selected_epoch"] == 2
    history = [json.loads(line) for line in (store.path(resolved.identity) / HISTORY).read_text().splitlines()]
    assert len(history) == epochs
    evaluated = [row["epoch"] for row in history if "validation_nll" in row and "validation_accuracy" in row]
    assert evaluated == list(range(2, epochs + 1, 2)), "the validation curve"


def test_a_run_that_reaches_its_end_is_not_stopped_early(small_run, tmp_path) -> None:
    resolved, store = small_run(training={"evaluate_every": 1, "patience": 4}), RunStore(tmp_path)
    assert execute(resolved, store).status == "trained"
    result = store.result(resolved.identity) or {}
    assert (result["epochs"], result["stopped_early"]) == (4, False)


@pytest.mark.parametrize("key", [{"patience": 2}, {"monitor": "nll"}])
def test_early_stopping_needs_evaluations(small_run, key) -> None:
    with pytest.raises(InputError, match=rf"training\.{next(iter(key))}: given with evaluate_every"):
        small_run(training=key)


def test_settings_at_their_defaults_are_the_same_run(small_run) -> None:
    plain = small_run(training={"evaluate_every": 1}).identity
    defaults = {"accumulate": 1, "devices": 1, "sync_batch_norm": False, "loggers": [], "monitor": "accuracy"}
    for key, value in defaults.items():
        assert small_run(training={"evaluate_every": 1, key: value}).identity == plain, key
    for key, value in {"accumulate": 2, "devices": 2, "patience": 1, "monitor": "nll"}.items():
        assert small_run(training={"evaluate_every": 1, key: value}).identity != plain, key
