"""The job: search, guard, recommendation."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from softtargets._checks import check_count
from softtargets._errors import fail, unknown
from softtargets.data import fingerprint
from softtargets.data.sources import forget_changed, load_cached
from softtargets.runs.spec import ResolvedRun, RunSpec
from softtargets.runs.store import RunStore
from softtargets.train.execute import resolve, validate_setup
from softtargets.train.graph import prerequisites
from softtargets.train.progress import Progress
from softtargets.train.run import read_specification
from softtargets.train.schedule import train_all
from softtargets.tune.fields import SearchField, check_fields, content_of, with_values
from softtargets.tune.guard import guard
from softtargets.tune.results import By, TuneResults, TuneTrial
from softtargets.tune.search import load_optuna, search, train_trial

LEAST_SEEDS, MOST_TRIALS = 3, 10_000


def tune(
    specification: RunSpec | Mapping[str, Any] | Path | str,
    fields: Sequence[SearchField | str],
    *,
    trials: int = 20,
    by: By = "nll",
    seeds: int = 5,
    seed: int = 0,
    runs: Path | str = "runs",
    workers: int | None = None,
    on_trial: Callable[[TuneTrial], None] = lambda trial: None,
    on_progress: Callable[[Progress], None] = lambda state: None,
) -> TuneResults:
    """Choose numeric fields of a run by its validation split, and recommend them only if they are better beyond chance.

    Optuna's sampler suggests the trials, and its median pruner stops bad ones early by their validation NLL. Each trial
    is a run of the store, so a search that was interrupted continues. Then the best trial and the given specification
    are trained on fresh seeds, the same for both. The best trial is recommended if the 95 % paired interval of the
    difference on the validation split excludes zero. Test labels are never read.

    Args:
        specification: a :class:`RunSpec`, its content as a mapping, or the path of a TOML file. Its own values are the
            default.
        fields: what is chosen, as :class:`SearchField` or as text, such as "objective.smoothing=0:0.3".
        trials: number of trials, besides the run of the given specification.
        by: "nll" or "accuracy" of the validation split after the last epoch.
        seeds: number of fresh seeds of the guard, at least 3.
        seed: of the sampler.
        runs: folder of the run store.
        workers: worker processes of the guard (default: one per core). Trials are trained one after the other.
        on_trial: called after the default and after each trial.
        on_progress: called about twice a second while the guard's runs are trained.

    Returns:
        The trials, the guard and the recommended specification.

    Raises:
        InputError: for a bad specification, field or range, or if Optuna is missing, before anything is trained; if the
            run of the given specification fails.
    """
    if by not in ("nll", "accuracy"):
        raise unknown("by", str(by), ("nll", "accuracy"))
    check_count("trials", trials, most=MOST_TRIALS, remedy="give the number of trials, such as 20")
    check_count("seeds", seeds, least=LEAST_SEEDS, remedy="give the number of fresh seeds, such as 5")
    load_optuna()
    given, store = read_specification(specification), RunStore(runs)
    chosen = check_fields(given, [SearchField.parse(field) if isinstance(field, str) else field for field in fields])
    forget_changed()
    if len(load_cached(given.data, str(store.cache)).splits["validation"]) == 0:
        required = "a validation split, by which runs are compared"
        raise fail("data", required, "none", "set data.validation, such as 0.1")
    resolved = _Resolver(store)
    default = _default(given, chosen, resolved, store)
    on_trial(default)
    found = search(
        chosen,
        lambda values: resolved(with_values(given, chosen, values)),
        store,
        default,
        trials=trials,
        by=by,
        seed=seed,
        on_trial=on_trial,
    )
    best = _best(found, default, by)
    if best is None:
        return TuneResults(given, chosen, by, default, found, None, None, "no trial was better")
    settings = {"by": by, "seeds": seeds, "workers": workers, "on_progress": on_progress}
    compared = guard(given, with_values(given, chosen, best.values), resolved, store, **settings)
    note = "" if compared else f"fewer than two of {seeds} pairs of runs on fresh seeds were trained to the end"
    return TuneResults(given, chosen, by, default, found, best, compared, note)


class _Resolver:
    """Resolves runs that are evaluated after every epoch, and trains the runs that they need.

    Data sets are fingerprinted once.
    """

    def __init__(self, store: RunStore) -> None:
        self._store, self._prints = store, dict[Any, str]()

    def __call__(self, run: RunSpec) -> ResolvedRun:
        run = _evaluated(run)
        for data in run.data_sets() - self._prints.keys():
            self._prints[data] = fingerprint(data, cache=self._store.cache)
        resolved = resolve(run, self._prints[run.data], self._prints)
        train_all(prerequisites(resolved), self._store, workers=1)
        return resolved


def _evaluated(run: RunSpec) -> RunSpec:
    """Return a run that is evaluated after every epoch, the last one included.

    Without patience, `evaluate_every` does not change the weights after the last epoch.
    """
    every, patience = run.training.evaluate_every, run.training.patience
    if every is not None and every > 1 and patience is not None:
        remedy = f"set it to 1 and patience to {every * patience}, which is as many epochs"
        raise fail("training.evaluate_every", "1 with patience, as tune compares last epochs", every, remedy)
    return run.changed(training=run.training.changed(evaluate_every=1))


def _default(run: RunSpec, fields: Sequence[SearchField], resolved: _Resolver, store: RunStore) -> TuneTrial:
    """Train the run of the given specification, after checking runs at the ends of the ranges."""
    content = content_of(run)
    values = {field.path: value for field in fields if (value := field.value_in(content)) is not None}
    own = resolved(run)
    ends = [
        resolved(with_values(run, fields, {field.path: end for field, end in zip(fields, corner, strict=True)}))
        for corner in (tuple(field.low for field in fields), tuple(field.high for field in fields))
    ]
    validate_setup([own, *ends], store)
    trial = train_trial(None, values, own, store)
    if trial.status == "failed":
        raise fail("specification", "a run that trains to the end", trial.message, "fix it, then tune its fields")
    return trial


def _best(trials: Sequence[TuneTrial], default: TuneTrial, by: By) -> TuneTrial | None:
    """Return the finished trial with the best number; None if none is better than the default."""
    scored = [
        (score, trial)
        for trial in (default, *trials)
        if trial.status == "finished" and (score := trial.score(by)) is not None
    ]
    best = min(scored, key=lambda pair: pair[0])[1]
    return None if best is default else best
