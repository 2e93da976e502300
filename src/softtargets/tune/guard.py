"""The guard: the best trial and the default on fresh seeds."""

import math
from collections.abc import Callable
from statistics import fmean, stdev

from softtargets.metrics.statistics import paired_t
from softtargets.runs.record import read_history
from softtargets.runs.spec import ResolvedRun, RunSpec
from softtargets.runs.store import RunStore
from softtargets.runs.training import Seeds
from softtargets.train.progress import Progress
from softtargets.train.schedule import train_all
from softtargets.tune.results import LEVEL, By, Guard
from softtargets.tune.search import scores_of

# The first seed of the guard. Seeds of studies and of their pilots are below it.
FIRST_SEED = 2_000_000


def guard(
    default: RunSpec,
    best: RunSpec,
    resolved: Callable[[RunSpec], ResolvedRun],
    store: RunStore,
    *,
    by: By,
    seeds: int,
    workers: int | None,
    on_progress: Callable[[Progress], None],
) -> Guard | None:
    """Compare two runs on seeds that the search did not use; None if fewer than two pairs were trained to the end.

    Args:
        default: the specification as it was given.
        best: that of the best trial.
        resolved: resolves a run.
        store: the run store.
        by: what is compared, on the validation split after the last epoch.
        seeds: number of pairs, at least 2.
        workers: number of worker processes.
        on_progress: called during training.
    """
    numbers = range(FIRST_SEED, FIRST_SEED + seeds)
    pairs = [tuple(resolved(_seeded(run, seed)) for run in (default, best)) for seed in numbers]
    train_all([run for pair in pairs for run in pair], store, workers=workers, on_progress=on_progress)
    rows: list[tuple[int, float, float]] = []
    for seed, pair in zip(numbers, pairs, strict=True):
        scores = [_score(store, run.identity, by) for run in pair]
        if scores[0] is not None and scores[1] is not None:
            rows.append((seed, scores[0], scores[1]))
    if len(rows) < 2:
        return None
    differences = [after - before for _, before, after in rows]
    mean, error = fmean(differences), stdev(differences) / math.sqrt(len(rows))
    kept, before, after = zip(*rows, strict=True)
    return Guard(kept, before, after, mean, paired_t(mean, error, len(rows), LEVEL))


def _seeded(run: RunSpec, seed: int) -> RunSpec:
    return run.changed(seeds=Seeds(**dict.fromkeys(Seeds.model_fields, seed)))


def _score(store: RunStore, identity: str, by: By) -> float | None:
    if store.result(identity) is None:
        return None
    nll, accuracy = scores_of(read_history(store.path(identity))[-1])
    return float(nll if by == "nll" else accuracy)
