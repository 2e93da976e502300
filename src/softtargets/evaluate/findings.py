"""The findings of an evaluation: is the model calibrated, does temperature scaling help, which model is better."""

from collections.abc import Sequence

from softtargets.evaluate.results import EvaluatedModel, Finding
from softtargets.evaluate.text import points_of, range_of, temperatures_of, text_of
from softtargets.evaluate.values import BETTER, SAME, UNKNOWN, WORSE, MetricDifference, MetricValue
from softtargets.report import numbers

# Published calibrated networks reach a calibration error of 1 % to 2 %; this much rarely matters in practice.
MARGIN = 0.02
# The metrics that the sentences compare; the table has all.
_HEADLINE = ("accuracy", "nll", "brier", "ece", "aurc")
CALIBRATION_RULE = (
    f"A model is called calibrated if the interval of its ECE lies below {numbers.rate(MARGIN)}, and not calibrated if "
    "the interval lies above; otherwise the question is undecided. Temperature scaling corrects the "
    "calibration if the model is calibrated with it but not without it."
)


def find(
    models: Sequence[EvaluatedModel], differences: Sequence[MetricDifference], confidence: float
) -> tuple[Finding, ...]:
    """Return whether the main model is calibrated, whether temperature scaling helps, and how it compares to others.

    Args:
        models: the main model first.
        differences: between the main model and the others.
        confidence: confidence of the intervals, a fraction.
    """
    main, *others = models
    compared = (_compared(other.name, differences) for other in others)
    return _calibrated(main, confidence), _tempered(main), *compared


def calibration_tone(ece: MetricValue | None) -> str:
    """Return "reproduced" (calibrated), "contradicted" (not calibrated) or "inconclusive", by the rule."""
    if ece is None or ece.interval is None:
        return "inconclusive"
    if ece.interval.high < MARGIN:
        return "reproduced"
    return "contradicted" if ece.interval.low > MARGIN else "inconclusive"


def _calibrated(model: EvaluatedModel, confidence: float) -> Finding:
    ece, margin = model.metric("ece"), numbers.rate(MARGIN)
    tone = calibration_tone(ece)
    title = {
        "reproduced": f"Calibrated to within {margin}",
        "inconclusive": f"Undecided whether calibrated to within {margin}",
        "contradicted": "Not calibrated",
    }[tone]
    rests = "ECE was not computed." if ece is None else f"{_value(ece, confidence)}. {ece.why}"
    return Finding(tone, f"{title}{_direction(model, tone)}.", (rests.strip(),))


def _direction(model: EvaluatedModel, tone: str) -> str:
    """Return whether the model is over- or under-confident overall, if the interval decides it."""
    gap = model.metric("overconfidence")
    if gap is None or gap.value is None or gap.interval is None:
        return ""
    size = f"{100 * abs(gap.value):.1f} points"
    if gap.interval.low > 0 or gap.interval.high < 0:
        return f": {'over' if gap.value > 0 else 'under'}-confident by {size} overall"
    return ": neither over- nor under-confident overall" if tone == "contradicted" else ""


def _value(metric: MetricValue, confidence: float) -> str:
    text = f"{metric.definition.label} is {text_of(metric.value, metric.definition.unit)}"
    ends = range_of(metric.interval, metric.definition.unit)
    return f"{text} ({100 * confidence:g} % interval {ends})" if ends else text


def _tempered(model: EvaluatedModel) -> Finding:
    scaled = model.temperature
    if scaled is None:
        return Finding("not-run", "No temperature was fitted.", (model.no_temperature,))
    before, after, change = model.metric("ece"), scaled.metric("ece"), scaled.change("ece")
    helps = change is not None and change.interval is not None and change.interval.high < 0
    if calibration_tone(before) == "reproduced":
        tone, title = "reproduced", "Temperature scaling is not needed."
    elif calibration_tone(after) == "reproduced":
        tone, title = "reproduced", "Temperature scaling corrects the calibration."
    elif helps:
        tone, title = "inconclusive", "Temperature scaling helps, but may not be enough."
    else:
        tone, title = "contradicted", "Temperature scaling does not help."
    found = temperatures_of(scaled.temperatures)
    sentences = [f"T = {found} ({scaled.folds} folds, each scaled by a T fitted on the other folds)."]
    sentences += [
        f"{old.definition.label} {text_of(old.value, old.definition.unit)} → "
        + text_of(new.value, new.definition.unit)
        + (f" ({range_of(new.interval, new.definition.unit)})." if new.interval else ".")
        for old, new in ((model.metric(name), scaled.metric(name)) for name in ("ece", "nll"))
        if old and new
    ]
    failed = scaled.converged.count(False)
    if failed:
        sentences.append(f"In {failed} of {scaled.folds} folds the search for T did not converge.")
    return Finding(tone, title, (" ".join(sentences),))


def _compared(name: str, differences: Sequence[MetricDifference]) -> Finding:
    found: dict[str, list[str]] = {BETTER: [], WORSE: [], SAME: [], UNKNOWN: []}
    for difference in differences:
        if difference.against == name and difference.metric in _HEADLINE and not difference.scaled:
            verdict, known = difference.verdict, difference.definition
            size = f" ({points_of(difference.value, known.unit)})" if verdict in (BETTER, WORSE) else ""
            found[verdict].append(known.label + size)
    tone, title = {
        (True, False): ("reproduced", f"Better than {name}."),
        (False, True): ("contradicted", f"Worse than {name}."),
        (True, True): ("inconclusive", f"Better than {name} by some metrics, worse by others."),
        (False, False): ("inconclusive", f"No significant difference from {name}."),
    }[bool(found[BETTER]), bool(found[WORSE])]
    told = [f"{verdict.capitalize()}: {', '.join(metrics)}." for verdict, metrics in found.items() if metrics]
    return Finding(tone, title, (" ".join(told),))
