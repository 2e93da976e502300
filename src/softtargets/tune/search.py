"""The search: Optuna's sampler and pruner over runs of the store."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

from softtargets import _packages
from softtargets._storage import UnfitFileError
from softtargets.runs.record import read_history
from softtargets.runs.spec import ResolvedRun
from softtargets.runs.store import RunStore
from softtargets.runs.streams import derived_seed
from softtargets.train.execute import execute
from softtargets.train.outputs import StoppedError
from softtargets.tune.fields import SearchField
from softtargets.tune.results import By, TuneTrial

# Trials before the sampler uses a model, and before any is pruned.
STARTUP_TRIALS, UNPRUNED_TRIALS = 8, 4
# The share of the steps of a run in which it is not pruned: early on, the NLL tells the learning rate most of all.
UNPRUNED_SHARE = 0.5

Row = Mapping[str, Any]
OnTrial = Callable[[TuneTrial], None]


def load_optuna() -> ModuleType:
    """Import Optuna.

    Raises:
        InputError: if it is not installed.
    """
    optuna = _packages.load("optuna", "tune", "softtargets[tune]")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def scores_of(row: Row) -> tuple[Any, Any]:
    """Return NLL and accuracy on the validation split, against the votes where labels are votes."""
    kind = "validation_votes" if "validation_votes_nll" in row else "validation"
    return row[f"{kind}_nll"], row[f"{kind}_accuracy"]


def train_trial(
    number: int | None,
    values: dict[str, float],
    resolved: ResolvedRun,
    store: RunStore,
    pruned: Callable[[Row], bool] = lambda row: False,
) -> TuneTrial:
    """Train the run of a trial, or read it from the store, until `pruned` says so after an epoch.

    A run that was pruned stays unfinished in the store. Its history is read when the search is repeated, so that the
    same decisions are made without training.

    Args:
        number: of the trial.
        values: of the fields.
        resolved: the run; those that it needs are finished.
        store: the run store.
        pruned: (row of the history) -> whether the run is stopped.
    """
    identity, seen = resolved.identity, list[Row]()

    def stops(row: Row) -> bool:
        if row["epoch"] <= len(seen):  # an epoch that is trained again from a checkpoint
            return False
        seen.append(row)
        return pruned(row)

    def of(status: Any, message: str = "") -> TuneTrial:
        scores = scores_of(seen[-1]) if seen else (None, None)
        return TuneTrial(number, values, status, len(seen), *scores, identity, message)

    finished = store.result(identity) is not None
    for row in _history(store, identity, finished):
        if stops(row):
            return of("pruned")
    if finished:
        return of("finished")

    def after(row: Row) -> None:
        if stops(row):
            raise StoppedError

    outcome = execute(resolved, store, wait=True, on_epoch=after)
    if outcome.status == "failed":
        return of("failed", outcome.message)
    if outcome.status == "stopped":
        return of("pruned")
    # what another process has trained, or a run on several devices
    if any(stops(row) for row in _history(store, identity, finished=True)):
        return of("pruned")
    return of("finished")


def _history(store: RunStore, identity: str, finished: bool) -> tuple[Row, ...]:
    try:
        return read_history(store.path(identity) if finished else store.partial(identity))
    except (OSError, UnfitFileError, ValueError):  # none yet, or a line that was cut off
        return ()


def search(
    fields: Sequence[SearchField],
    resolved_with: Callable[[Mapping[str, float]], ResolvedRun],
    store: RunStore,
    default: TuneTrial,
    *,
    trials: int,
    by: By,
    seed: int,
    on_trial: OnTrial,
) -> tuple[TuneTrial, ...]:
    """Train the trials that a tree-structured Parzen estimator suggests (Bergstra et al. 2011), one after the other.

    The suggestion of a trial depends on the seed, its number and the trials before it. A search that was interrupted is
    repeated, with the finished runs read from the store. A trial is pruned after an epoch of its second half if its
    lowest NLL so far is above the median NLL of the finished trials after that epoch.

    Args:
        fields: what is chosen.
        resolved_with: values of the fields -> run.
        store: the run store.
        default: the run of the given specification, which is the first observation if its values are in the ranges.
        trials: number of trials.
        by: what is minimised or maximised.
        seed: of the sampler.
        on_trial: called after each trial.
    """
    optuna = load_optuna()
    distributions = {field.path: _distribution(optuna, field) for field in fields}
    pruner = optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED_TRIALS, n_warmup_steps=0)
    study = optuna.create_study(direction="minimize", pruner=pruner)
    known = _as_frozen(optuna, default, distributions, fields, by)
    if known is not None:
        study.add_trial(known)
    found: list[TuneTrial] = []
    for number in range(trials):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of settings that are experimental in some versions
            study.sampler = optuna.samplers.TPESampler(
                seed=derived_seed("tune", seed, number) % 2**32,
                n_startup_trials=min(STARTUP_TRIALS, max(1, trials // 2)),
            )
            asked = study.ask(distributions)
        values = {
            field.path: int(v) if field.whole else float(v) for field in fields for v in [asked.params[field.path]]
        }
        resolved = resolved_with(values)
        trial = train_trial(number, values, resolved, store, _pruning(asked))
        score = trial.score(by)
        failed = trial.status == "failed" or score is None
        if failed:
            study.tell(asked, state=optuna.trial.TrialState.FAIL)
        elif trial.status == "pruned":
            study.tell(asked, state=optuna.trial.TrialState.PRUNED)
        else:
            study.tell(asked, score)
        found.append(trial)
        on_trial(trial)
    return tuple(found)


def _pruning(asked: Any) -> Callable[[Row], bool]:
    """Return a function that reports the NLL of an epoch to Optuna, and says whether the trial is pruned."""

    def pruned(row: Row) -> bool:
        asked.report(scores_of(row)[0], row["epoch"])
        return UNPRUNED_SHARE < row["step"] / row["steps"] < 1 and asked.should_prune()

    return pruned


def _distribution(optuna: ModuleType, field: SearchField) -> Any:
    if field.whole:
        return optuna.distributions.IntDistribution(int(field.low), int(field.high), log=field.log)
    return optuna.distributions.FloatDistribution(field.low, field.high, log=field.log)


def _as_frozen(
    optuna: ModuleType, default: TuneTrial, distributions: dict[str, Any], fields: Sequence[SearchField], by: By
) -> Any | None:
    """Return the run of the given specification as an observation; None if a value of it is not in its range."""
    score = default.score(by)
    inside = all(field.low <= default.values.get(field.path, field.low - 1) <= field.high for field in fields)
    if score is None or default.status != "finished" or not inside:
        return None
    return optuna.trial.create_trial(params=dict(default.values), distributions=distributions, value=score)
