"""The result of training an ensemble, as shown by the JSON file, the command line and the Python API."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from softtargets.ensembles.diversity import Diversity
from softtargets.ensembles.ensemble import Ensemble
from softtargets.evaluate import EvaluationResults
from softtargets.evaluate.results import EvaluatedModel
from softtargets.evaluate.suite import LEVEL
from softtargets.evaluate.values import MetricDifference
from softtargets.metrics.statistics import holm_adjusted
from softtargets.report.encoding import finite
from softtargets.runs.spec import RunSpec

AFTER, BEFORE, UNCALIBRATED = "calibrated after combining", "calibrated before combining", "not calibrated"
BEST = "best member"
# What the ensemble is compared by with other ways to calibrate it, and with its best member.
_WAYS, _MEMBER = ("nll", "ece"), ("accuracy", "nll")
METRICS = ("accuracy", "nll", "brier", "ece")


@dataclass(frozen=True)
class EnsembleMember:
    """One member.

    Args:
        name: the first digits of the run's identity, and the epoch of a snapshot.
        identity: of the run.
        epoch: of a snapshot; None: the weights after the last step.
        vote: the weight of its vote in boosting; None elsewhere.
        metrics: on the test split, by name, without calibration: fractions, and nats.
    """

    name: str
    identity: str
    epoch: int | None
    vote: float | None
    metrics: dict[str, float]


@dataclass(frozen=True, eq=False, repr=False)
class EnsembleResults:
    """The result of :func:`train_ensemble`.

    Args:
        kind: name of the kind of ensemble.
        ensemble: the ensemble, calibrated after combining.
        runs: the specifications of the members' runs; of snapshots one run. As `teachers` of a run they are averaged:
            for "seeds" and "bagging" with `combine = "probs"` the student learns from the ensemble without calibrator.
            Votes, the regression of stacking, snapshots and calibrators are not used.
        members: every member alone.
        diversity: of the members on the test split; None without test rows.
        evaluation: of the test split: the ensemble calibrated after combining (if it is calibrated), not calibrated,
            and, for averages, combined from members that were calibrated one by one; and the member with the highest
            accuracy on the validation split (of several the lowest NLL), calibrated alone; with paired differences.
            None without test rows.
        folder: with `ensemble.json`, the files that :func:`load_ensemble` needs, and, where there are test rows,
            `test.safetensors`, which `evaluate` reads.
        trained: number of runs that were trained now.
        calibrated_on: number of validation rows that the calibrator was fitted on; 0 without one.
        best: name of the member that is the best on the validation split; None without validation rows.
        failures: messages of runs that failed; then there is no ensemble.
    """

    kind: str
    ensemble: Ensemble | None
    runs: tuple[RunSpec, ...]
    members: tuple[EnsembleMember, ...]
    diversity: Diversity | None
    evaluation: EvaluationResults | None
    folder: Path
    trained: int
    calibrated_on: int = 0
    best: str | None = None
    failures: tuple[str, ...] = ()

    def __repr__(self) -> str:
        if self.failures:
            return f"EnsembleResults({self.kind}: {self.failures[0]})"
        found = self.evaluation and self.evaluation.main.metric("accuracy")
        reached = f", accuracy {found.value:.4f}" if found and found.value is not None else ""
        return f"EnsembleResults({self.kind} of {len(self.members)} members{reached}; {self.folder})"

    @property
    def mean_member(self) -> dict[str, float]:
        """The mean of each metric over the members."""
        if not self.members:
            return {}
        names = self.members[0].metrics
        return {name: sum(one.metrics[name] for one in self.members) / len(self.members) for name in names}

    def variants(self) -> tuple[EvaluatedModel, ...]:
        """Return the evaluated ways of calibrating, in the order of `evaluation`."""
        return () if self.evaluation is None else tuple(one for one in self.evaluation.models if one.name != BEST)

    @cached_property
    def comparisons(self) -> tuple[MetricDifference, ...]:
        """The NLL and ECE of the ensemble minus those of other ways to calibrate it, and accuracy and NLL against BEST.

        They are differences of `evaluation` whose p-values are adjusted for these comparisons alone (Holm).
        """
        differences = () if self.evaluation is None else self.evaluation.differences
        shown = [
            one
            for one in differences
            if not one.scaled and one.p is not None and one.metric in (_MEMBER if one.against == BEST else _WAYS)
        ]
        adjusted = holm_adjusted([one.p for one in shown if one.p is not None])
        return tuple(
            replace(one, adjusted=p, significant=p < LEVEL and not one.why)
            for one, p in zip(shown, adjusted, strict=True)
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the content of `ensemble.json`."""
        calibrator = None if self.ensemble is None else self.ensemble.calibrator
        data = {
            "kind": self.kind,
            "data": self.runs[0].data.name,
            "combination": None if self.ensemble is None else self.ensemble.combination.name,
            "members": [vars(member) for member in self.members],
            "mean_member": self.mean_member,
            "calibrator": None if calibrator is None else repr(calibrator),
            "diversity": self.diversity and self.diversity.to_dict(),
            "evaluation": self.evaluation and self.evaluation.to_dict(),
            "comparisons": [one.to_dict() for one in self.comparisons],
        }
        return finite(data)
