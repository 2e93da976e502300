"""What an evaluation found, as the page and its files show it.

Fractions are stored as fractions (percent appears only where they are shown), times 100 nowhere. A number that does not
exist is None, one that is infinite is infinite.
"""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from softtargets.evaluate.measures import MEASURES, Measure


class Interval(NamedTuple):
    """The ends of an interval."""

    low: float
    high: float


@dataclass(frozen=True)
class Metric:
    """The value of one metric.

    Args:
        name: one of `MEASURES`.
        value: None where there is none; infinity is a value.
        interval: None where there is none, and then `why` says why in a sentence.
        bound: how far the value may be from the exact one, since a sketch was kept; 0 where it is exact.
    """

    name: str
    value: float | None
    interval: Interval | None = None
    why: str = ""
    bound: float = 0.0

    @property
    def measure(self) -> Measure:
        """The metric as people know it."""
        return MEASURES[self.name]


@dataclass(frozen=True)
class Bin:
    """One bin of a reliability diagram: its edges, and of its rows (None where there are none) what was found.

    Args:
        low, high: edges, fractions.
        count: of rows.
        confidence, accuracy: means.
        interval: of the accuracy (Wilson).
    """

    low: float
    high: float
    count: int
    confidence: float | None = None
    accuracy: float | None = None
    interval: Interval | None = None


@dataclass(frozen=True)
class SmoothCurve:
    """A smooth reliability curve on a grid: the accuracy near each confidence, and how many rows lie there.

    Args:
        confidence: a growing grid within [0, 1], of at most a few hundred points.
        accuracy: the smoothed accuracy at each.
        density: of the rows at each; its integral is 1.
    """

    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]
    density: tuple[float, ...]


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram in the bins of equal width and of equal mass, the very ones of the metrics."""

    width: tuple[Bin, ...]
    mass: tuple[Bin, ...]
    smooth: SmoothCurve | None = None


@dataclass(frozen=True)
class Temperature:
    """What a temperature does, each fold scaled by one that was fitted on the other folds.

    Args:
        temperatures: one for each fold.
        converged: for each, whether its search did.
        metrics: after it; those of `MEASURES` that are `core`, and overconfidence.
        changes: after - before, of some of these.
        reliability: after it.
    """

    temperatures: tuple[float, ...]
    converged: tuple[bool, ...]
    metrics: tuple[Metric, ...]
    changes: tuple[Metric, ...]
    reliability: Reliability

    @property
    def folds(self) -> int:
        """Number of folds."""
        return len(self.temperatures)

    def metric(self, name: str) -> Metric | None:
        """Return a metric after the temperature; None where it was not computed."""
        return _named(self.metrics, name)

    def change(self, name: str) -> Metric | None:
        """Return what the temperature changed; None where it was not computed."""
        return _named(self.changes, name)


@dataclass(frozen=True)
class Histogram:
    """How many right and how many wrong rows have a confidence between two edges."""

    edges: tuple[float, ...]
    right: tuple[int, ...]
    wrong: tuple[int, ...]


@dataclass(frozen=True)
class RiskCoverage:
    """The error (`risk`) among the most confident rows, by the share of rows kept, which grows; thinned for drawing."""

    coverage: tuple[float, ...]
    risk: tuple[float, ...]


@dataclass(frozen=True)
class ClassRow:
    """One class.

    Args:
        labels: rows that carry its label.
        predicted: rows that are predicted so.
        right: rows of both.
        recall: share of its labels that are predicted so, with its interval (Wilson); None without labels.
        confidence: mean, of the rows predicted so; None without any.
        ece: of its probability over all rows, in the bins of the class-wise ECE.
        surely_below: whether its recall is below that of the other rows beyond doubt, by `classes_rule`.
    """

    labels: int
    predicted: int
    right: int
    recall: float | None
    recall_interval: Interval | None
    confidence: float | None
    ece: float
    surely_below: bool = False

    @property
    def precision(self) -> float | None:
        """Share of the rows predicted so that carry its label; None without any."""
        return self.right / self.predicted if self.predicted else None


@dataclass(frozen=True)
class Model:
    """One set of predictions, judged.

    Args:
        name: for people; no two are equal.
        files: that hold the predictions, as the user named them.
        kind: of the values in them.
        num_rows: how many were counted.
        metrics: by `MEASURES`, those that apply; accuracy always.
        zero_rows: rows that give their own label the probability 0.
        reliability: before temperature.
        temperature: None where none was fitted, and `no_temperature` says why in a sentence.
        histogram: of confidences.
        risk_coverage: at most a few hundred points.
        classes: one for each class.
        notes: on these predictions.
    """

    name: str
    files: tuple[str, ...]
    kind: Literal["logits", "probs"]
    num_rows: int
    metrics: tuple[Metric, ...]
    zero_rows: int
    reliability: Reliability
    temperature: Temperature | None
    histogram: Histogram
    risk_coverage: RiskCoverage
    classes: tuple[ClassRow, ...]
    no_temperature: str = ""
    notes: tuple[str, ...] = ()

    def metric(self, name: str) -> Metric | None:
        """Return a metric; None where it was not computed."""
        return _named(self.metrics, name)


@dataclass(frozen=True)
class Difference:
    """The main model's metric less that of another on the same rows.

    Args:
        metric: one of `MEASURES`.
        against: name of the other.
        value: main - other; None where it does not exist (infinite less infinite).
        interval: paired, of the evaluation's confidence, for this difference alone.
        p: of no difference, for this one alone; None where there is none.
        adjusted: p after Holm's correction over every difference shown.
        real: whether the adjusted p is below 1 - confidence.
        why: there is no interval, in a sentence.
    """

    metric: str
    against: str
    value: float | None
    interval: Interval | None = None
    p: float | None = None
    adjusted: float | None = None
    real: bool = False
    why: str = ""

    @property
    def measure(self) -> Measure:
        """The metric as people know it."""
        return MEASURES[self.metric]


@dataclass(frozen=True)
class EvaluationResults:
    """Everything that the page and its files say.

    Args:
        command: does this again.
        models: the main one and then those that it is compared with; all on the same classes.
        num_classes: of all.
        class_names: one for each class; empty where nobody named them.
        confidence: of every interval, a fraction.
        bins: of every binned metric.
        intervals: how the intervals were made, in sentences.
        classes_rule: by which classes are surely below, in a sentence.
        differences: for every other model in turn, metrics in the order of the page; empty for one model.
        notes: what a reader must know.
        versions: of the packages.
    """

    command: str
    models: tuple[Model, ...]
    num_classes: int
    confidence: float
    bins: int
    intervals: tuple[str, ...]
    classes_rule: str
    class_names: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def main(self) -> Model:
        """The model that the page is about."""
        return self.models[0]

    @property
    def others(self) -> tuple[Model, ...]:
        """Those that it is compared with."""
        return self.models[1:]

    def class_name(self, index: int) -> str:
        """Return the name of a class, or its index where nobody named it."""
        return self.class_names[index] if self.class_names else str(index)


def _named(metrics: tuple[Metric, ...], name: str) -> Metric | None:
    return next((metric for metric in metrics if metric.name == name), None)
