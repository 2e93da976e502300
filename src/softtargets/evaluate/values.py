"""Values of metrics and differences between models.

Fractions are stored as fractions; percent is used only for display. An undefined number is None, an infinite one is
infinite.
"""

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from softtargets.evaluate.catalog import METRICS, EvaluationMetric

BETTER, WORSE, SAME, UNKNOWN = "better", "worse", "no significant difference", "not compared"


class IntervalEnds(NamedTuple):
    """The two ends of an interval."""

    low: float
    high: float


@dataclass(frozen=True)
class MetricValue:
    """The value of one metric.

    Args:
        name: a key of `METRICS`.
        value: None if undefined; can be infinite.
        interval: None if there is none; `why` then states the reason.
        why: a sentence, or empty text.
        bound: largest distance from the exact value if the metric was computed from a sketch, else 0.
        p: p-value of "no difference", for differences; else None.
    """

    name: str
    value: float | None
    interval: IntervalEnds | None = None
    why: str = ""
    bound: float = 0.0
    p: float | None = None

    @property
    def definition(self) -> EvaluationMetric:
        """Label, unit and direction of the metric."""
        return METRICS[self.name]

    def to_dict(self) -> dict[str, Any]:
        """Return value, interval, reason, error bound and direction."""
        ends = None if self.interval is None else list(self.interval)
        better = self.definition.better
        return {"value": self.value, "interval": ends, "why": self.why, "bound": self.bound, "better": better}


@dataclass(frozen=True)
class MetricDifference:
    """A metric of the main model minus that of another model on the same rows.

    Args:
        metric: a key of `METRICS`.
        against: name of the other model.
        value: main minus other; None if undefined (infinite minus infinite).
        interval: paired, for this difference alone.
        p: p-value of "no difference", for this difference alone; None if there is none.
        adjusted: p after Holm's correction over all differences of the evaluation.
        significant: whether the adjusted p-value is below 1 - confidence.
        at_floor: whether the p-value is the smallest that the bootstrap can give, so that `p` and `adjusted` are upper
            bounds.
        scaled: whether both models are compared after temperature scaling.
        why: the reason, in a sentence, why there is no interval; else empty text.
    """

    metric: str
    against: str
    value: float | None
    interval: IntervalEnds | None = None
    p: float | None = None
    adjusted: float | None = None
    significant: bool = False
    at_floor: bool = False
    scaled: bool = False
    why: str = ""

    @property
    def definition(self) -> EvaluationMetric:
        """Label, unit and direction of the metric."""
        return METRICS[self.metric]

    @property
    def verdict(self) -> str:
        """`BETTER`, `WORSE` or `SAME` for the main model, or `UNKNOWN` if there is no test."""
        if self.p is None or self.value is None:
            return UNKNOWN
        if not self.significant:
            return SAME
        return BETTER if (self.value > 0) == (self.definition.better == "higher") else WORSE

    def to_dict(self) -> dict[str, Any]:
        """Return all fields."""
        return {**asdict(self), "interval": None if self.interval is None else list(self.interval)}
