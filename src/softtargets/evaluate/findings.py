"""What an evaluation comes to, in words: is the model calibrated, does a temperature mend it, which is better."""

import math
from typing import NamedTuple

from softtargets.evaluate.results import Difference, EvaluationResults, Interval, Metric, Model
from softtargets.report import numbers

# An ECE whose interval lies below it is one that few would act on; published calibrated networks reach 1 % to 2 %.
MARGIN = 0.02
# The metrics by which a model is called better in a sentence; the table has all.
_HEADLINE = ("accuracy", "nll", "brier", "ece", "aurc")
BETTER, WORSE, SAME, UNKNOWN = "better", "worse", "no real difference", "not compared"
RULE = (
    f"A model is called calibrated where the interval of its ECE lies below {numbers.rate(MARGIN)}, and not calibrated "
    "where it lies above; between them it is undecided. A temperature mends it where it is calibrated after and was "
    "not before."
)


class Finding(NamedTuple):
    """One answer: its tone (a verdict's name), what it says and what that rests on."""

    tone: str
    title: str
    sentences: tuple[str, ...]


def findings(results: EvaluationResults) -> tuple[Finding, ...]:
    """Return what the page says first."""
    compared = tuple(_compared(results, other) for other in results.others)
    return _calibrated(results), _tempered(results.main), *compared


def text_of(value: float | None, unit: str, *, signed: bool = False) -> str:
    """Return a value with its unit.

    Example:
        >>> text_of(0.8219, "percent"), text_of(float("inf"), "nats"), text_of(-0.01, "percent", signed=True)
        ('82.19 %', '∞', '−1.00 %')
    """
    if value is None:
        return numbers.NOTHING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return numbers.number(value, unit, signed=signed) + (" %" if unit == "percent" else "")


def range_of(interval: Interval | None, unit: str, *, signed: bool = False) -> str:
    """Return the ends of an interval, without their unit; nothing where there is none."""
    if interval is None:
        return ""
    return " to ".join(text_of(end, unit, signed=signed).removesuffix(" %") for end in interval)


def points_of(difference: float | None, unit: str) -> str:
    """Return a difference with its sign and what it counts."""
    text = text_of(difference, unit, signed=True).removesuffix(" %")
    named = numbers.difference_unit(unit)
    return f"{text} {named}" if named and difference is not None and math.isfinite(difference) else text


def verdict(metric: Metric | None) -> str:
    """Return whether an ECE is called calibrated, not calibrated or neither, by `RULE`."""
    if metric is None or metric.interval is None:
        return "inconclusive"
    if metric.interval.high < MARGIN:
        return "reproduced"
    return "contradicted" if metric.interval.low > MARGIN else "inconclusive"


def _calibrated(results: EvaluationResults) -> Finding:
    model, margin = results.main, numbers.rate(MARGIN)
    ece = model.metric("ece")
    tone = verdict(ece)
    title = {
        "reproduced": f"Calibrated to within {margin}",
        "inconclusive": f"Undecided whether calibrated to within {margin}",
        "contradicted": "Not calibrated",
    }[tone]
    rests = "ECE was not computed." if ece is None else f"{_said(ece, results.confidence)}. {ece.why}"
    return Finding(tone, f"{title}{_side(model, tone)}.", (rests.strip(),))


def _side(model: Model, tone: str) -> str:
    """Return by how much confidence is off on the whole, where that is sure."""
    gap = model.metric("overconfidence")
    if gap is None or gap.value is None or gap.interval is None:
        return ""
    size = f"{100 * abs(gap.value):.1f} points"
    if gap.interval.low > 0 or gap.interval.high < 0:
        return f": {'over' if gap.value > 0 else 'under'}-confident by {size} on the whole"
    return ": on the whole neither over- nor under-confident" if tone == "contradicted" else ""


def _said(metric: Metric, confidence: float) -> str:
    text = f"{metric.measure.label} is {text_of(metric.value, metric.measure.unit)}"
    ends = range_of(metric.interval, metric.measure.unit)
    return f"{text} ({100 * confidence:g} % interval {ends})" if ends else text


def _tempered(model: Model) -> Finding:
    scaled = model.temperature
    if scaled is None:
        return Finding("not-run", "No temperature was fitted.", (model.no_temperature,))
    before, after, change = model.metric("ece"), scaled.metric("ece"), scaled.change("ece")
    helps = change is not None and change.interval is not None and change.interval.high < 0
    if verdict(before) == "reproduced":
        tone, title = "reproduced", "No temperature is needed."
    elif verdict(after) == "reproduced":
        tone, title = "reproduced", "A temperature mends the calibration."
    elif helps:
        tone, title = "inconclusive", "A temperature helps, and is not shown to be enough."
    else:
        tone, title = "contradicted", "A temperature does not help."
    sentences = [f"T = {temperatures_of(model)} ({scaled.folds} folds, each scaled by the T of the others)."]
    sentences += [
        f"{old.measure.label} {text_of(old.value, old.measure.unit)} → {text_of(new.value, new.measure.unit)}"
        + (f" ({range_of(new.interval, new.measure.unit)})." if new.interval else ".")
        for old, new in ((model.metric(name), scaled.metric(name)) for name in ("ece", "nll"))
        if old and new
    ]
    failed = scaled.converged.count(False)
    if failed:
        sentences.append(f"In {failed} of {scaled.folds} folds the search for T did not converge.")
    return Finding(tone, title, (" ".join(sentences),))


def temperatures_of(model: Model) -> str:
    """Return the temperatures of the folds: the least and the greatest, or the one that both are."""
    assert model.temperature is not None
    ends = min(model.temperature.temperatures), max(model.temperature.temperatures)
    least, greatest = (f"{end:.3g}" if end < 999.5 else f"{end:,.0f}" for end in ends)
    return least if least == greatest else f"{least} to {greatest}"


def standing(difference: Difference) -> str:
    """Return whether the main model is `BETTER`, `WORSE` or the `SAME` in a metric, or `UNKNOWN`, without a test."""
    if difference.p is None or difference.value is None:
        return UNKNOWN
    if not difference.real:
        return SAME
    return BETTER if (difference.value > 0) == (difference.measure.better == "higher") else WORSE


def _compared(results: EvaluationResults, other: Model) -> Finding:
    found: dict[str, list[str]] = {BETTER: [], WORSE: [], SAME: [], UNKNOWN: []}
    for difference in results.differences:
        if difference.against == other.name and difference.metric in _HEADLINE:
            stands = standing(difference)
            size = f" ({points_of(difference.value, difference.measure.unit)})" if stands in (BETTER, WORSE) else ""
            found[stands].append(difference.measure.label + size)
    tone, title = {
        (True, False): ("reproduced", f"Better than {other.name}."),
        (False, True): ("contradicted", f"Worse than {other.name}."),
        (True, True): ("inconclusive", f"Better than {other.name} in some metrics, worse in others."),
        (False, False): ("inconclusive", f"No real difference from {other.name}."),
    }[bool(found[BETTER]), bool(found[WORSE])]
    told = [f"{name.capitalize()}: {', '.join(metrics)}." for name, metrics in found.items() if metrics]
    return Finding(tone, title, (" ".join(told),))
