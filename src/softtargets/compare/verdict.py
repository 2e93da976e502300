"""The verdict: paired differences from cross entropy, and which of them are better than chance.

The error of 5 % is divided between the measures that decide (`measures.PRIMARY`) and the temperature. Within a
measure, Holm's procedure divides its share between the methods.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from softtargets.compare.measures import GUARDED, LEAST_WRONG, LEVEL, MEASURES, PRIMARY, TEMPERATURE_LEVEL
from softtargets.metrics.crossed import CrossedMean, crossed_mean
from softtargets.metrics.statistics import holm_adjusted, holm_levels

# (S, N) numbers by the name of the measure: one row for each seed, one column for each test example
Scores = Mapping[str, Tensor]


@dataclass(frozen=True)
class MeasuredDifference:
    """A method minus cross entropy in one measure, or after a temperature minus before.

    Args:
        measure: name of the measure.
        estimate: mean over the seeds, in the unit of the stored values.
        low, high: its interval.
        confidence: of the interval: 95 %, or as high as Holm's procedure requires for a measure that decides.
        p_value: two-sided, not adjusted.
        adjusted: p-value times what the division of the error requires, at most 1: below 0.05 is significant. None
            for a measure that does not decide.
    """

    measure: str
    estimate: float
    low: float
    high: float
    confidence: float
    p_value: float
    adjusted: float | None = None

    @property
    def gain(self) -> float:
        """The difference with the sign of an improvement."""
        return MEASURES[self.measure].gain(self.estimate)

    @property
    def better(self) -> bool:
        """Whether the interval lies on the good side of 0."""
        return min(MEASURES[self.measure].gain(self.low), MEASURES[self.measure].gain(self.high)) > 0

    @property
    def worse(self) -> bool:
        """Whether the interval lies on the bad side of 0."""
        return max(MEASURES[self.measure].gain(self.low), MEASURES[self.measure].gain(self.high)) < 0

    @property
    def beyond_margin(self) -> bool:
        """Whether the interval lies on the bad side of the margin."""
        measure = MEASURES[self.measure]
        return max(measure.gain(self.low), measure.gain(self.high)) < -measure.margin


@dataclass(frozen=True)
class MethodVerdict:
    """What is known of a method.

    Args:
        differences: from cross entropy, by the name of the measure; empty for cross entropy itself.
        temperature: NLL and ECE after a temperature minus before.
        decided_by: the first measure in which the method is significantly better; None if there is none.
        worse_in: measures in which it is worse than cross entropy by more than the margin.
        wrong_rows: number of test rows that a repetition of it or of cross entropy predicts wrongly.
    """

    differences: dict[str, MeasuredDifference]
    temperature: dict[str, MeasuredDifference]
    decided_by: str | None = None
    worse_in: tuple[str, ...] = ()
    wrong_rows: int = LEAST_WRONG

    @property
    def decides(self) -> tuple[str, ...]:
        """The measures that decide: accuracy alone if few test rows are predicted wrongly."""
        return tuple(PRIMARY) if self.wrong_rows >= LEAST_WRONG else ("accuracy",)

    @property
    def temperature_helps(self) -> bool:
        """Whether the temperature lowers NLL beyond chance, and does not raise ECE."""
        found = self.temperature
        return self.wrong_rows >= LEAST_WRONG and found["nll"].better and not found["ece"].worse

    @property
    def recommended(self) -> bool:
        """Whether it is better than cross entropy beyond chance, and not worse in another measure."""
        return self.decided_by is not None and not self.worse_in


def judge(baseline: Scores, methods: Mapping[str, Scores]) -> dict[str, MethodVerdict]:
    """Compare methods with cross entropy.

    Args:
        baseline: scores of cross entropy.
        methods: scores of the methods by name. Row s of a method has the seed of row s of cross entropy.

    Returns:
        Verdicts by name.
    """
    means = {
        name: {measure: _difference(baseline[measure], scores[measure]) for measure in MEASURES}
        for name, scores in methods.items()
    }
    differences: dict[str, dict[str, MeasuredDifference]] = {name: {} for name in methods}
    for measure in MEASURES:
        for name, found in _family(measure, {name: mean[measure] for name, mean in means.items()}).items():
            differences[name][measure] = found
    return {
        name: _verdict(differences[name], means[name], methods[name], wrong_rows(baseline, methods[name]))
        for name in methods
    }


def wrong_rows(*methods: Scores) -> int:
    """Return the number of test rows that a repetition of one of the methods predicts wrongly."""
    return int((torch.cat([scores["accuracy"] for scores in methods]) < 1).any(0).sum())


def temperature_differences(scores: Scores) -> dict[str, MeasuredDifference]:
    """Return the differences of NLL and ECE that the temperature makes, by the name of the measure before it."""
    found: dict[str, MeasuredDifference] = {}
    for measure in ("nll", "ece"):
        mean = _difference(scores[measure], scores[f"{measure}_scaled"])
        low, high = mean.interval(TEMPERATURE_LEVEL)
        p_value = mean.p_value()
        adjusted = min(1.0, p_value * LEVEL / TEMPERATURE_LEVEL)
        found[measure] = MeasuredDifference(measure, mean.mean, low, high, 1 - TEMPERATURE_LEVEL, p_value, adjusted)
    return found


def _difference(first: Tensor, second: Tensor) -> CrossedMean:
    return crossed_mean(second - first)


def _family(measure: str, means: Mapping[str, CrossedMean]) -> dict[str, MeasuredDifference]:
    """Return the differences of all methods in one measure, adjusted if it decides."""
    p_values = {name: mean.p_value() for name, mean in means.items()}
    share = PRIMARY.get(measure)
    if share is None:
        return {name: _shown(measure, mean, LEVEL, p_values[name]) for name, mean in means.items()}
    levels = holm_levels(p_values, share, len(p_values))
    names = list(p_values)
    adjusted = dict(zip(names, holm_adjusted([p_values[name] for name in names]), strict=True))
    return {
        name: replace(
            _shown(measure, mean, levels[name], p_values[name]), adjusted=min(1.0, adjusted[name] * LEVEL / share)
        )
        for name, mean in means.items()
    }


def _shown(measure: str, mean: CrossedMean, level: float, p_value: float) -> MeasuredDifference:
    low, high = mean.interval(level)
    return MeasuredDifference(measure, mean.mean, low, high, 1 - level, p_value)


def _verdict(
    differences: dict[str, MeasuredDifference], means: Mapping[str, CrossedMean], scores: Scores, wrong: int
) -> MethodVerdict:
    # a loss is a reason against a method without the adjustment that a gain needs
    guarded = {name: _shown(name, means[name], LEVEL, differences[name].p_value) for name in GUARDED}
    worse = tuple(name for name, found in guarded.items() if found.beyond_margin)
    verdict = MethodVerdict(differences, temperature_differences(scores), worse_in=worse, wrong_rows=wrong)
    return replace(verdict, decided_by=next((name for name in verdict.decides if differences[name].better), None))
