"""Train an ensemble: its runs, the combination, the calibrator, and what all of it is worth on the test split."""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from softtargets import metrics
from softtargets._errors import InputError, fail, fail_type
from softtargets._spec import Spec, read_toml
from softtargets.calibration.calibrator import Calibrator, make_calibrator
from softtargets.data.predictions.writing import open_writer
from softtargets.data.sources import load_cached
from softtargets.ensembles.combining import Combination, WeightedVotes
from softtargets.ensembles.diversity import measure_diversity
from softtargets.ensembles.ensemble import Ensemble
from softtargets.ensembles.files import ENSEMBLES, PREDICTIONS, write_ensemble
from softtargets.ensembles.outputs import Member, members_of, split_logits
from softtargets.ensembles.results import AFTER, BEFORE, BEST, UNCALIBRATED, EnsembleMember, EnsembleResults
from softtargets.ensembles.spec import AnyEnsemble, EnsembleSpec
from softtargets.evaluate import EvaluationOptions, EvaluationResults, evaluate_predictions
from softtargets.runs.spec import ResolvedRun, RunSpec, canonical_json
from softtargets.runs.store import RunStore
from softtargets.train.progress import Progress
from softtargets.train.run import resolve_all, with_unlabelled
from softtargets.train.schedule import train_all

TABLE = "ensemble"


class _Table(Spec):
    """The table `ensemble`."""

    ensemble: AnyEnsemble


def train_ensemble(
    specification: Mapping[str, Any] | Path | str,
    *,
    unlabelled: Path | str | None = None,
    runs: Path | str = "runs",
    workers: int | None = 1,
    on_progress: Callable[[Progress], None] = lambda state: None,
    evaluation: EvaluationOptions | None = None,
) -> EnsembleResults:
    """Train the members of an ensemble that the store lacks, combine and calibrate them, and evaluate them.

    The specification is that of a run, with a table `ensemble`. The members are runs of the store: those that another
    ensemble has trained are shared. The calibrator is fitted on the validation split, to its observed labels.

    Args:
        specification: a mapping, or the path of a TOML file. `ensemble.name` is "seeds", "bagging", "snapshots",
            "boosting" or "stacking".
        unlabelled: a second file whose rows are added to the training split without labels; sets
            `data.unlabelled_file` of every member. Not for boosting, which weights rows by their labels.
        runs: folder of the run store.
        workers: number of runs that are trained at a time; None: as many as the cores allow.
        on_progress: called about twice a second during training, from a separate thread.
        evaluation: seed and bootstrap draws of the evaluation.

    Returns:
        The ensemble, every member alone, their diversity, and an evaluation of the test split.

    Raises:
        InputError: for a bad file or key, or data that the ensemble cannot use, before anything is trained.
        InputTypeError: if the specification is of another type.

    Example:
        >>> import tempfile
        >>> two = {"name": "seeds", "size": 2}
        >>> run = {"model": {"name": "mlp", "hidden": [16]}, "training": {"epochs": 2}, "ensemble": two}
        >>> with tempfile.TemporaryDirectory() as store:
        ...     results = train_ensemble(run, runs=store, evaluation=EvaluationOptions(n_draws=20))
        >>> len(results.members), results.evaluation.main.name
        (2, 'calibrated after combining')
    """
    run, kind = read_specification(specification)
    if unlabelled is not None:
        run = with_unlabelled(run, os.fspath(unlabelled))
    store = RunStore(runs)
    members, others = kind.members(run), kind.others(run)
    resolved = resolve_all((*members, *others), store)
    kind.check(load_cached(run.data, str(store.cache)))
    outcomes = train_all(resolved, store, workers=workers, on_progress=on_progress)
    folder = store.folder / ENSEMBLES / _identity(kind, resolved)
    failures = tuple(outcome.message for outcome in outcomes if outcome.status == "failed")
    trained = sum(outcome.status == "trained" for outcome in outcomes)
    if failures:
        return EnsembleResults(kind.name, None, members, (), None, None, folder, trained, failures=failures)
    found = members_of(resolved[: len(members)], kind.epochs(run), store)
    combination = kind.combination(found, resolved[len(members) :], store)
    combined = _Combined.of(kind, found, combination)
    return _evaluated(combined, members, folder, trained, evaluation or EvaluationOptions())


@dataclass(frozen=True, eq=False)
class _Combined:
    """Finished members, their combination, and the calibrators before and after it."""

    kind: EnsembleSpec
    members: tuple[Member, ...]
    combination: Combination
    calibrator: Calibrator | None
    own: tuple[Calibrator | None, ...]
    best: int | None

    @classmethod
    def of(cls, kind: EnsembleSpec, members: tuple[Member, ...], combination: Combination) -> "_Combined":
        recorded = members[0].run.predictions
        observed = recorded["validation.observed"]
        labels = recorded.get("validation.votes", observed)
        logits = split_logits(members, "validation")

        def fitted(values: Tensor) -> Calibrator | None:
            if kind.calibrator == "none":
                return None
            return make_calibrator(kind.calibrator, "ensemble.calibrator").fit(values, labels)

        scores = [_metrics(own, observed) for own in logits]
        best = (
            max(range(len(members)), key=lambda m: (scores[m]["accuracy"], -scores[m]["nll"])) if len(labels) else None
        )
        own = tuple(fitted(values) for values in logits)
        return cls(kind, members, combination, fitted(combination(logits)), own, best)

    def test_probs(self, logits: Tensor) -> dict[str, Tensor]:
        """Return the probabilities of each way of calibrating, and of the best member, from the (M, N, K) logits."""
        combined = self.combination(logits)
        ways = {} if self.calibrator is None else {AFTER: self.calibrator(combined)}
        ways[UNCALIBRATED] = combined
        own = [one(values) if one else values for one, values in zip(self.own, logits, strict=True)]
        if self.calibrator is not None and self.combination.averages:
            ways[BEFORE] = self.combination(torch.stack(own))
        if self.best is not None:
            ways[BEST] = own[self.best]
        return {name: values.softmax(-1) for name, values in ways.items()}


def _evaluated(
    combined: _Combined, runs: tuple[RunSpec, ...], folder: Path, trained: int, options: EvaluationOptions
) -> EnsembleResults:
    members = combined.members
    recorded = members[0].run.predictions
    ensemble = Ensemble([member.classifier for member in members], combined.combination, combined.calibrator)
    votes = (
        combined.combination.weights.tolist()
        if isinstance(combined.combination, WeightedVotes)
        else [None] * len(members)
    )
    labels, logits = recorded["test.labels"], split_logits(members, "test").double()
    shown = tuple(
        EnsembleMember(member.name, member.resolved.identity, member.epoch, vote, _metrics(own, labels))
        for member, vote, own in zip(members, votes, logits, strict=True)
    )
    evaluation = diversity = None
    folder.mkdir(parents=True, exist_ok=True)
    if len(labels):
        probs = combined.test_probs(logits)
        # votes of several annotators are evaluated as such
        evaluation = _compared(
            probs, recorded.get("test.votes", labels), replace(options, class_names=ensemble.class_names)
        )
        diversity = measure_diversity(logits, labels)
        with open_writer(folder / PREDICTIONS, "probs", ensemble.class_names, labelled=True) as writer:
            writer.add(next(iter(probs.values())).float(), labels)
    rows = 0 if combined.calibrator is None else len(recorded["validation.observed"])
    best = None if combined.best is None else members[combined.best].name
    results = EnsembleResults(
        combined.kind.name, ensemble, runs, shown, diversity, evaluation, folder, trained, rows, best
    )
    write_ensemble(results)
    return results


def _compared(probs: Mapping[str, Tensor], labels: Tensor, options: EvaluationOptions) -> EvaluationResults:
    (name, main), *others = probs.items()
    return evaluate_predictions(main, labels, against=dict(others), options=replace(options, name=name))


def _metrics(logits: Tensor, labels: Tensor) -> dict[str, float]:
    if not len(labels):
        return {}
    probs = logits.softmax(-1)
    return {
        "accuracy": float(metrics.accuracy(probs, labels)),
        "nll": float(metrics.nll(logits=logits, labels=labels)),
        "brier": float(metrics.brier(probs, labels)),
        "ece": float(metrics.ece(probs, labels)),
    }


def _identity(kind: EnsembleSpec, resolved: Sequence[ResolvedRun]) -> str:
    content = {"ensemble": kind.model_dump(mode="json"), "runs": [run.identity for run in resolved]}
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def read_specification(specification: Mapping[str, Any] | Path | str) -> tuple[RunSpec, EnsembleSpec]:
    """Return the run and the ensemble of a specification with a table `ensemble`.

    Raises:
        InputError: for a bad file or key, or without the table.
        InputTypeError: if the specification is of another type.
    """
    source = "specification"
    if isinstance(specification, str | Path):
        source, specification = str(specification), read_toml(specification)
    if not isinstance(specification, Mapping):
        required = "a mapping or the path of a TOML file"
        raise fail_type("specification", required, type(specification).__name__, "pass one of these")
    content = dict(specification)
    table = content.pop(TABLE, None)
    if table is None:
        raise InputError(f"{source}: ensemble: a table; got none; add [ensemble] with name = 'seeds'")
    kind: EnsembleSpec = _Table.parse({TABLE: table}, source=source).ensemble
    if kind.calibrator != "none":
        make_calibrator(kind.calibrator, f"{source}: ensemble.calibrator")
    run = RunSpec.parse(content, source=source)
    if run.data.target is not None:
        raise fail("ensemble", "left out for a run that writes texts", f"'{kind.name}'", "train one run")
    return run, kind
