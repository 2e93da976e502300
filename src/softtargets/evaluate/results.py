"""The result of an evaluation: what the page, the JSON file and the Python API show.

Fractions are stored as fractions; percent appears only where they are shown. A number that does not exist is None, an
infinite one is infinite.
"""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from softtargets.evaluate.catalog import METRICS, EvaluationMetric

BETTER, WORSE, SAME, UNKNOWN = "better", "worse", "no real difference", "not compared"


class IntervalEnds(NamedTuple):
    """The ends of an interval."""

    low: float
    high: float


@dataclass(frozen=True)
class MetricValue:
    """The value of one metric.

    Args:
        name: one of `METRICS`.
        value: None where it is undefined; may be infinite.
        interval: None where there is none; `why` then gives the reason in a sentence.
        why: the reason, else empty.
        bound: largest distance from the exact value, where the metric was computed from a sketch; else 0.
        p: p-value of no difference, where it is a difference; None where there is none.
    """

    name: str
    value: float | None
    interval: IntervalEnds | None = None
    why: str = ""
    bound: float = 0.0
    p: float | None = None

    @property
    def definition(self) -> EvaluationMetric:
        """Name, unit and direction of the metric."""
        return METRICS[self.name]


@dataclass(frozen=True)
class ReliabilityBin:
    """One bin of a reliability diagram.

    Args:
        low, high: edges, fractions.
        count: number of rows.
        confidence, accuracy: means over its rows; None without rows.
        interval: of the accuracy (Wilson); None without rows.
    """

    low: float
    high: float
    count: int
    confidence: float | None = None
    accuracy: float | None = None
    interval: IntervalEnds | None = None


@dataclass(frozen=True)
class SmoothCurve:
    """A smooth reliability curve on a grid.

    Args:
        confidence: an increasing grid in [0, 1], of at most a few hundred points.
        accuracy: the smoothed accuracy at each point.
        density: of the rows at each point; its integral is 1.
    """

    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]
    density: tuple[float, ...]


@dataclass(frozen=True)
class ReliabilityDiagram:
    """Bins of equal width and of equal mass, the same that the metrics use."""

    width: tuple[ReliabilityBin, ...]
    mass: tuple[ReliabilityBin, ...]
    smooth: SmoothCurve | None = None


@dataclass(frozen=True)
class FittedTemperature:
    """The effect of temperature scaling. Each fold is scaled by the temperature fitted on the other folds.

    Args:
        temperatures: one for each fold.
        converged: for each fold, whether the search converged.
        metrics: after scaling; those of `METRICS` that are `core`, and overconfidence.
        changes: after - before, of some of these.
        reliability: after scaling.
    """

    temperatures: tuple[float, ...]
    converged: tuple[bool, ...]
    metrics: tuple[MetricValue, ...]
    changes: tuple[MetricValue, ...]
    reliability: ReliabilityDiagram

    @property
    def folds(self) -> int:
        """Number of folds."""
        return len(self.temperatures)

    def metric(self, name: str) -> MetricValue | None:
        """Return a metric after scaling; None where it was not computed."""
        return _named(self.metrics, name)

    def change(self, name: str) -> MetricValue | None:
        """Return the change of a metric; None where it was not computed."""
        return _named(self.changes, name)


@dataclass(frozen=True)
class ConfidenceHistogram:
    """Numbers of right and of wrong rows by confidence."""

    edges: tuple[float, ...]
    right: tuple[int, ...]
    wrong: tuple[int, ...]


@dataclass(frozen=True)
class RiskCurve:
    """The error (`risk`) of the most confident rows by the share of rows kept, increasing; thinned for drawing."""

    coverage: tuple[float, ...]
    risk: tuple[float, ...]


@dataclass(frozen=True)
class ClassEvaluation:
    """One class.

    Args:
        labels: number of rows that have its label.
        predicted: number of rows predicted as this class.
        right: number of rows that are both.
        recall: right / labels, with its interval (Wilson); None without labels.
        confidence: mean over the rows predicted as this class; None without any.
        ece: of the probability of the class over all rows, in the bins of the class-wise ECE.
        surely_below: whether its recall is significantly below that of the other rows, by `classes_rule`.
    """

    labels: int
    predicted: int
    right: int
    recall: float | None
    recall_interval: IntervalEnds | None
    confidence: float | None
    ece: float
    surely_below: bool = False

    @property
    def precision(self) -> float | None:
        """right / predicted; None where no row is predicted as this class."""
        return self.right / self.predicted if self.predicted else None


@dataclass(frozen=True)
class EvaluatedModel:
    """The evaluation of one set of predictions.

    Args:
        name: unique.
        files: of the predictions, as the user named them; empty for arrays.
        kind: of the values.
        num_rows: number of rows.
        metrics: those of `METRICS` that apply, in that order; accuracy always.
        zero_rows: rows that give their own label the probability 0.
        reliability: before temperature scaling.
        temperature: None where none was fitted; `no_temperature` then gives the reason in a sentence.
        histogram: of confidences.
        risk_coverage: at most a few hundred points.
        classes: one for each class.
        no_temperature: the reason, else empty.
        notes: on these predictions.
    """

    name: str
    files: tuple[str, ...]
    kind: Literal["logits", "probs"]
    num_rows: int
    metrics: tuple[MetricValue, ...]
    zero_rows: int
    reliability: ReliabilityDiagram
    temperature: FittedTemperature | None
    histogram: ConfidenceHistogram
    risk_coverage: RiskCurve
    classes: tuple[ClassEvaluation, ...]
    no_temperature: str = ""
    notes: tuple[str, ...] = ()

    def metric(self, name: str) -> MetricValue | None:
        """Return a metric; None where it was not computed."""
        return _named(self.metrics, name)


@dataclass(frozen=True)
class MetricDifference:
    """A metric of the main model minus that of another model on the same rows.

    Args:
        metric: one of `METRICS`.
        against: name of the other model.
        value: main - other; None where it is undefined (infinite minus infinite).
        interval: paired, for this difference alone.
        p: p-value of no difference, for this difference alone; None where there is none.
        adjusted: p after Holm's correction over all differences of the evaluation.
        real: whether the adjusted p-value is below 1 - confidence.
        why: the reason in a sentence where there is no interval, else empty.
    """

    metric: str
    against: str
    value: float | None
    interval: IntervalEnds | None = None
    p: float | None = None
    adjusted: float | None = None
    real: bool = False
    why: str = ""

    @property
    def definition(self) -> EvaluationMetric:
        """Name, unit and direction of the metric."""
        return METRICS[self.metric]

    @property
    def verdict(self) -> str:
        """`BETTER`, `WORSE` or `SAME` for the main model, or `UNKNOWN` where there is no test."""
        if self.p is None or self.value is None:
            return UNKNOWN
        if not self.real:
            return SAME
        return BETTER if (self.value > 0) == (self.definition.better == "higher") else WORSE


@dataclass(frozen=True)
class Finding:
    """One answer.

    Args:
        tone: "reproduced" (good), "contradicted" (bad), "inconclusive" or "not-run", as the page colours verdicts.
        title: the answer in a sentence.
        sentences: the numbers it rests on.
    """

    tone: str
    title: str
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class EvaluationResults:
    """Everything that the page and its files show.

    Args:
        command: repeats this evaluation; empty where arrays were given.
        findings: whether the main model is calibrated, whether a temperature helps, and for each other model which is
            better.
        models: the main one and then those it is compared with; all have the same classes.
        num_classes: K.
        confidence: of every interval, a fraction.
        bins: number of bins of every binned metric.
        intervals: how the intervals were computed, in sentences.
        classes_rule: when a class is called surely below, in a sentence.
        calibration_rule: when a model is called calibrated, in sentences.
        class_names: one for each class; empty where there are none.
        differences: for each other model in turn, metrics in the order of `METRICS`; empty for one model.
        notes: assumptions that a reader must know.
        versions: of the packages.
    """

    command: str
    findings: tuple[Finding, ...]
    models: tuple[EvaluatedModel, ...]
    num_classes: int
    confidence: float
    bins: int
    intervals: tuple[str, ...]
    classes_rule: str
    calibration_rule: str
    class_names: tuple[str, ...] = ()
    differences: tuple[MetricDifference, ...] = ()
    notes: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        found = " ".join(" ".join((finding.title, *finding.sentences)) for finding in self.findings)
        rows = f"{self.main.num_rows:,} row{'' if self.main.num_rows == 1 else 's'}"
        return f"EvaluationResults: {rows} of {self.main.name}, {self.num_classes:,} classes. {found}"

    @property
    def main(self) -> EvaluatedModel:
        """The model that is evaluated."""
        return self.models[0]

    @property
    def others(self) -> tuple[EvaluatedModel, ...]:
        """The models it is compared with."""
        return self.models[1:]

    def class_name(self, index: int) -> str:
        """Return the name of a class, or its index where classes have no names."""
        return self.class_names[index] if self.class_names else str(index)


def _named(metrics: tuple[MetricValue, ...], name: str) -> MetricValue | None:
    return next((metric for metric in metrics if metric.name == name), None)
