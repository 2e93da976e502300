"""Cross-validated models of scikit-learn: for texts, tables and embeddings, or an estimator of the user."""

import math
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import joblib
import numpy as np
import torch
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
from torch import Tensor

from softtargets._errors import fail
from softtargets.audit.folds import fold_of
from softtargets.audit.models import HeldOut
from softtargets.audit.paired_check import Refit
from softtargets.audit.request import FOLDS, AuditOptions, OnStage, RunsFailedError
from softtargets.audit.results import CrossValidatedModel
from softtargets.report.numbers import duration
from softtargets.runs.machine import available_cores

# Smallest probability of a class: that of a class that a fold does not contain, or that a forest gives no vote.
FLOOR = 1e-6
# Rows of the larger of the two fits from which the time is estimated (at most half of all rows), and their share.
_LEAST_TIMED, _MOST_TIMED, _TIMED_SHARE = 100, 2000, 0.1
# From this number of rows on, the number of trees is chosen by early stopping on a tenth of them.
_LARGE = 10_000
# Models that take less time than this are fitted in this process, since workers need some seconds to start.
_WORTH_WORKERS = 15.0


@dataclass(frozen=True, eq=False)
class Candidate:
    """An estimator of scikit-learn with its description in words."""

    describes: str
    estimator: Any


def candidates_for(kind: str, examples: Any) -> tuple[Candidate, ...]:
    """Return the default models for "texts", "tables" or "embeddings".

    The settings and the mean of two candidates were chosen on Wine, Breast Cancer, digits (15 % of the labels flipped)
    and Banking77 (20 % flipped): small trees, since larger ones learn the wrong labels.
    """
    if kind == "texts":
        return (Candidate("logistic regression on TF-IDF of words and characters", _text_model()),)
    linear = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500, tol=1e-3))
    if kind == "embeddings":
        return (Candidate("logistic regression", linear),)
    large = len(examples) >= _LARGE
    trees: dict[str, Any] = {"max_iter": 200 if large else 40, "early_stopping": large}
    boosting = HistGradientBoostingClassifier(max_leaf_nodes=8, l2_regularization=1.0, **trees)
    return Candidate("logistic regression", linear), Candidate("gradient boosting", boosting)


def _text_model() -> Any:
    shared: dict[str, Any] = {"sublinear_tf": True, "dtype": np.float32}
    words = TfidfVectorizer(ngram_range=(1, 2), **shared)
    characters = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 4), min_df=2, **shared)
    # one problem per class, solved in the dual: with 150 classes a sixth of the time of the multinomial problem
    separate = OneVsRestClassifier(LogisticRegression(C=3.0, solver="liblinear", dual=True, tol=0.05))
    return make_pipeline(make_union(words, characters), separate)


def cross_validate_classical(
    examples: Any,
    labels: Tensor,
    num_classes: int,
    candidates: Sequence[Candidate],
    options: AuditOptions,
    on_stage: OnStage,
    *,
    source: str = "",
) -> HeldOut:
    """Fit every candidate on all folds but one, predict the rows of that fold, and keep the best candidate.

    The best candidate has the smallest mean negative log-likelihood of the audited labels. The mean of the predictions
    of all candidates is one candidate more. Folds are random and not stratified, since a stratified division would
    depend on the labels.

    Args:
        examples: (N, ...) array, as scikit-learn takes it.
        labels: (N,) int64, the audited labels.
        num_classes: K.
        candidates: the models.
        options: number of folds, seed, workers.
        on_stage: called with the estimated time before models are fitted, and with the progress.
        source: where the examples are from, in words, for the description.

    Raises:
        RunsFailedError: a model cannot be fitted.
    """
    folds = FOLDS if options.folds is None else options.folds
    given = labels.numpy()
    held = fold_of(len(given), folds, options.seed).numpy()
    candidates = [Candidate(one.describes, _seeded(one.estimator, options.seed)) for one in candidates]
    seconds = _estimate(candidates, examples, given, folds, options.seed)
    workers = min(options.workers or available_cores(), folds * len(candidates))
    several = workers > 1 and (seconds is None or seconds > _WORTH_WORKERS)
    told = "" if seconds is None else f", about {duration(seconds / (workers if several else 1))}"
    stage = f"cross-validating {_named(candidates)}: {folds} folds{told}"
    fits = _Fits(examples, given, num_classes, workers if several else 1)
    probs = np.empty((len(candidates), len(given), num_classes), dtype=np.float32)
    on_stage(stage, 0.0)
    start = time.perf_counter()
    sets = [(np.flatnonzero(held != fold), np.flatnonzero(held == fold)) for fold in range(folds)]
    for done, ((_, rows), found) in enumerate(zip(sets, fits(candidates, sets), strict=True), 1):
        probs[:, rows] = found
        on_stage(stage, done / folds)
    seconds = time.perf_counter() - start
    names = [one.describes for one in candidates]
    settings = [repr(one.estimator) for one in candidates]
    if len(candidates) > 1:
        probs = np.concatenate([probs, probs.mean(0, keepdims=True)])
        names.append(f"mean of {_named(candidates)}")
        settings.append("\n".join(settings))
    losses = [float(-np.log(one[np.arange(len(given)), given]).mean()) for one in probs]
    best = int(np.argmin(losses))
    model = CrossValidatedModel(folds, _described(names, losses, best) + source, settings[best])
    chosen = [candidates[best]] if best < len(candidates) else candidates

    def fit(sets: Sequence[tuple[Tensor, Tensor]]) -> Iterator[Tensor]:
        rows = [(fitted.numpy(), predicted.numpy()) for fitted, predicted in sets]
        return (torch.from_numpy(found.mean(0)) for found in fits(chosen, rows))

    refit = Refit(fit, labels, folds, options.seed, seconds)
    return HeldOut(torch.arange(len(given)), torch.from_numpy(probs[best].copy()), {}, model, refit)


@dataclass(frozen=True, eq=False)
class _Fits:
    """Fits models to rows of the examples, several at a time, and predicts others."""

    examples: Any
    labels: np.ndarray
    num_classes: int
    workers: int

    def __call__(
        self, candidates: Sequence[Candidate], sets: Sequence[tuple[np.ndarray, np.ndarray]]
    ) -> Iterator[np.ndarray]:
        """Yield the probabilities of each set's second rows by models fitted to its first, (candidates, n, K)."""
        calls = (
            joblib.delayed(_fit)(one, self.examples, self.labels, fitted, predicted)
            for fitted, predicted in sets
            for one in candidates
        )
        parallel: Any = joblib.Parallel(n_jobs=self.workers, return_as="generator")
        found = parallel(calls)
        for _, predicted in sets:
            probs = np.full((len(candidates), len(predicted), self.num_classes), FLOOR, dtype=np.float32)
            for each in probs:
                some, classes = next(found)
                each[:, classes] = np.maximum(some, FLOOR)
            yield probs / probs.sum(2, keepdims=True)


def _named(candidates: Sequence[Candidate]) -> str:
    return " and ".join(one.describes for one in candidates)


def _described(names: Sequence[str], losses: Sequence[float], best: int) -> str:
    others = [f"{name} {losses[place]:.3f}" for place, name in enumerate(names) if place != best]
    return names[best] + (f" (cross-validated NLL {losses[best]:.3f}; {', '.join(others)})" if others else "")


def _seeded(estimator: Any, seed: int) -> Any:
    """Return a copy whose unset random states are the seed, so that an audit can be repeated."""
    copy: Any = clone(estimator)
    unset = {
        name: seed
        for name, value in copy.get_params().items()
        if name.rpartition("__")[2] == "random_state" and value is None
    }
    return copy.set_params(**unset)


def _fit(
    candidate: Candidate, examples: Any, labels: np.ndarray, fitted: np.ndarray, predicted: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fit a copy to some rows; return the probabilities of others, and the classes that they are of."""
    try:
        with warnings.catch_warnings(), threadpool_limits(1):
            # an unfinished search is good enough, and its probabilities are held out all the same
            warnings.simplefilter("ignore", ConvergenceWarning)
            model: Any = clone(candidate.estimator)
            model.fit(examples[fitted], labels[fitted])
            return np.asarray(model.predict_proba(examples[predicted]), dtype=np.float32), np.asarray(model.classes_)
    except Exception as error:  # of the model: any class of error
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        required = f"a model that can be fitted to these rows, as {candidate.describes}"
        raise RunsFailedError(str(fail("model", required, reason, "fix it, or name another model"))) from error


def _estimate(
    candidates: Sequence[Candidate], examples: Any, labels: np.ndarray, folds: int, seed: int
) -> float | None:
    """Return the estimated seconds of all fits in one process, from two small fits; None if there are too few rows."""
    size = len(labels)
    most = int(min(max(_TIMED_SHARE * size, _LEAST_TIMED), _MOST_TIMED, size // 2))
    order = np.random.default_rng(seed).permutation(size)
    if len(np.unique(labels[order[: most // 2]])) < 2:
        return None
    total = 0.0
    for candidate in candidates:
        few, more = (_timed(candidate, examples, labels, order[:rows]) for rows in (most // 2, most))
        growth = min(max(math.log2(more / few), 0.5), 2.0)
        total += folds * more * (size * (folds - 1) / folds / most) ** growth
    return total


def _timed(candidate: Candidate, examples: Any, labels: np.ndarray, rows: np.ndarray) -> float:
    """Return the seconds of a fit on these rows, and of predicting the first of them."""
    start = time.perf_counter()
    # the first quarter is both fitted to and predicted, since nothing but the time is used
    _fit(candidate, examples, labels, rows, rows[: max(1, len(rows) // 4)])
    return time.perf_counter() - start
