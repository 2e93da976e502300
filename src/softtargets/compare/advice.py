"""The recommendation: one fixed rule, and the sentences that say it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from torch import Tensor

from softtargets.compare.measures import GUARDED, LEAST_WRONG, LEVEL, MEASURES, PRIMARY, TEMPERATURE_LEVEL
from softtargets.compare.methods import BASELINE
from softtargets.compare.results import CompareAdvice, Status
from softtargets.compare.verdict import MeasuredDifference, MethodVerdict
from softtargets.metrics.crossed import crossed_mean
from softtargets.report import numbers

_SHARES = ", ".join(f"{100 * share:g} % for {MEASURES[name].label}" for name, share in PRIMARY.items())
_MARGINS = ", ".join(
    f"{numbers.number(MEASURES[name].margin, MEASURES[name].unit)} "
    f"{numbers.difference_unit(MEASURES[name].unit)}".strip()
    + f" in {MEASURES[name].label}"
    for name in GUARDED
)
DECISION_RULE = (
    f"A method is recommended if it is better than cross entropy beyond chance in one of the measures that decide, and "
    f"not worse by more than a margin in any other. The probability of any wrong recommendation is at most "
    f"{100 * LEVEL:g} %. It is divided: {_SHARES}, {100 * TEMPERATURE_LEVEL:g} % for the temperature. Within a measure "
    "Holm's procedure divides it between the methods, and their intervals are as wide as it requires. Not worse: the "
    f"95 % interval does not lie beyond the margin of {_MARGINS}. Of several such methods, those of one network come "
    "before ensembles; then the first measure in the order above decides, and in it the largest difference. A "
    "temperature is recommended if NLL falls beyond chance and ECE does not rise. NLL, ECE and the temperature decide "
    f"only if at least {LEAST_WRONG} test rows are predicted wrongly by a repetition of the method or of cross entropy."
)
# Methods that a sentence names, and undecided ones that the headline names; the other sentences name them too.
_MOST_NAMED = 6
_FEW_UNDECIDED = 2


@dataclass(frozen=True)
class JudgedMethod:
    """A method with its verdict.

    Args:
        label: the method with its setting, in words.
        members: number of networks of one prediction.
        values: mean over the seeds by the name of the measure.
        verdict: the differences from cross entropy.
    """

    label: str
    members: int
    values: Mapping[str, float]
    verdict: MethodVerdict


def no_better_than_guessing(accuracy: Tensor, guess: Tensor) -> tuple[str, ...]:
    """Return a sentence if cross entropy is not better beyond chance than the most frequent class, else nothing.

    Args:
        accuracy: (S, N) accuracy numbers of cross entropy.
        guess: (N,) those of predicting the most frequent class of the training split.
    """
    difference = crossed_mean(accuracy - guess)
    low, high = difference.interval(LEVEL)
    if low > 0:
        return ()
    span = " to ".join(numbers.ends(low, high, "percent", signed=True))
    reached, share = (numbers.number(float(values.mean()), "percent") for values in (accuracy, guess))
    return (
        "Cross entropy does not predict better beyond chance than the most frequent class of the training split does: "
        f"{reached} % against {share} % of the test rows (difference {span} points). The inputs may say nothing about "
        "the labels, or this network does not learn it.",
    )


def status_of(name: str, advised: str, verdict: MethodVerdict) -> Status:
    """Return the status of a method beside the recommended one."""
    if name == BASELINE:
        return "baseline"
    if name == advised:
        return "recommended"
    if verdict.decided_by is not None:
        return "better"
    worse = verdict.worse_in or any(verdict.differences[measure].worse for measure in verdict.decides)
    return "worse" if worse else "undecided"


def advise(methods: Mapping[str, JudgedMethod], *, temperature: bool) -> CompareAdvice:
    """Return the recommendation according to :data:`DECISION_RULE`.

    Args:
        methods: by name, cross entropy included.
        temperature: whether a temperature is one of the methods that are compared.
    """
    found = _best(methods)
    chosen = methods[found]
    cooled = temperature and chosen.verdict.temperature_helps
    also: list[str] = []
    if found == BASELINE:
        headline = _nothing(methods, cooled)
    else:
        headline = _something(methods, found, cooled)
    if temperature:
        also.append(_temperature(chosen, cooled))
    also += _ensembles(methods, found)
    also += _others(methods, found)
    return CompareAdvice(found, cooled, headline, tuple(also), DECISION_RULE)


def _best(methods: Mapping[str, JudgedMethod]) -> str:
    usable = [name for name, method in methods.items() if name != BASELINE and method.verdict.recommended]
    if not usable:
        return BASELINE

    def rank(name: str) -> tuple[bool, int, float]:
        measure = methods[name].verdict.decided_by or ""
        gain = methods[name].verdict.differences[measure].gain
        return methods[name].members > 1, list(PRIMARY).index(measure), -gain

    return min(usable, key=rank)


def _nothing(methods: Mapping[str, JudgedMethod], cooled: bool) -> str:
    own = "cross entropy and a temperature" if cooled else "cross entropy"
    if len(methods) == 1:
        return f"Use {own}. No other way of training was compared."
    return f"Use {own}: no method is better than cross entropy beyond chance."


def _something(methods: Mapping[str, JudgedMethod], found: str, cooled: bool) -> str:
    method, baseline = methods[found], methods[BASELINE]
    label = f"{method.label} and a temperature" if cooled else method.label
    measure = method.verdict.decided_by or ""
    said = f"Use {'an ' if method.members > 1 else ''}{label}: {in_words(method.verdict.differences[measure])}"
    # what a user of plain cross entropy changes by following the recommendation
    change = method.values["ece_scaled" if cooled else "ece"] - baseline.values["ece"]
    direction = "less" if change < 0 else "more"
    said += f", ECE {numbers.number(abs(change), 'fraction')} {direction}"
    undecided = [one.label for name, one in methods.items() if status_of(name, found, one.verdict) == "undecided"]
    if not undecided:
        return f"{said}."
    few = len(undecided) <= _FEW_UNDECIDED
    return f"{said}; {_listed(undecided) if few else f'{len(undecided)} other methods are'} undecided."


def in_words(found: MeasuredDifference) -> str:
    """Return a difference from cross entropy with its interval, such as "1.3 points better than cross entropy"."""
    measure = MEASURES[found.measure]
    ends = sorted((measure.gain(found.low), measure.gain(found.high)))
    sign = -1 if found.gain < 0 else 1
    low, high = sorted(sign * end for end in ends)
    unit = numbers.difference_unit(measure.unit)
    size = f"{numbers.number(abs(found.gain), measure.unit)} {unit}".strip()
    span = f"({' to '.join(numbers.ends(low, high, measure.unit))})"
    if found.measure == "accuracy":
        return f"{size} {'better' if found.gain >= 0 else 'worse'} than cross entropy {span}"
    return f"{measure.label} {size} {'lower' if found.gain >= 0 else 'higher'} than with cross entropy {span}"


def _temperature(chosen: JudgedMethod, cooled: bool) -> str:
    found, values = chosen.verdict.temperature, chosen.values
    change = (
        f"NLL changes from {numbers.number(values['nll'], 'nats')} to {numbers.number(values['nll_scaled'], 'nats')} "
        f"(interval of the change {_span(found['nll'])}), ECE from {numbers.number(values['ece'], 'fraction')} to "
        f"{numbers.number(values['ece_scaled'], 'fraction')} ({_span(found['ece'])})"
    )
    if cooled:
        return f"With a temperature fitted on the validation split, {change}."
    if chosen.verdict.wrong_rows < LEAST_WRONG:
        return f"{_few_wrong(chosen.verdict)} Whether a temperature improves {chosen.label} is undecided: {change}."
    if found["nll"].worse:
        return f"A temperature makes the probabilities of {chosen.label} worse: {change}."
    return f"A temperature does not improve {chosen.label} beyond chance: {change}."


def _few_wrong(verdict: MethodVerdict) -> str:
    rows = numbers.count(verdict.wrong_rows, "test row")
    return (
        f"Only {rows} {'is' if verdict.wrong_rows == 1 else 'are'} predicted wrongly by any repetition, too few to "
        "decide on NLL and ECE."
    )


def _span(found: MeasuredDifference) -> str:
    return " to ".join(numbers.ends(found.low, found.high, MEASURES[found.measure].unit, signed=True))


def _ensembles(methods: Mapping[str, JudgedMethod], found: str) -> list[str]:
    said = []
    for name, method in methods.items():
        decided = method.verdict.decided_by
        if method.members == 1 or decided is None:
            continue
        words = in_words(method.verdict.differences[decided])
        cost = f"training and prediction take {method.members} times as long"
        begin = "It is recommended because no method of one network is" if name == found else f"An {method.label} is"
        said.append(f"{begin} better beyond chance; {cost}." if name == found else f"{begin} {words}; {cost}.")
    return said


def _others(methods: Mapping[str, JudgedMethod], found: str) -> list[str]:
    by_status: dict[str, list[str]] = {}
    for name, method in methods.items():
        by_status.setdefault(status_of(name, found, method.verdict), []).append(method.label)
    said = []
    better = [
        method
        for name, method in methods.items()
        if status_of(name, found, method.verdict) == "better" and method.members == 1
    ]
    for method in better:
        words = in_words(method.verdict.differences[method.verdict.decided_by or ""])
        bad = [MEASURES[measure].label for measure in method.verdict.worse_in]
        but = f", but worse in {_listed(bad, verb=False)}" if bad else ""
        said.append(f"{method.label[:1].upper()}{method.label[1:]}: {words}{but}.")
    worse = by_status.get("worse", [])
    if worse:
        said.append(f"Worse than cross entropy beyond chance: {_listed(worse, verb=False)}.")
    undecided = [one for name, one in methods.items() if status_of(name, found, one.verdict) == "undecided"]
    if undecided:
        widths = [_half_width(one.verdict.differences["accuracy"]) for one in undecided]
        names = _listed([one.label for one in undecided], verb=False)
        said.append(
            f"Undecided: {names}. With these seeds and test rows, differences of accuracy below about "
            f"{100 * median(widths):.1f} points cannot be told from chance."
        )
    return said


def _half_width(found: MeasuredDifference) -> float:
    return (found.high - found.low) / 2


def _listed(labels: Sequence[str], *, verb: bool = True) -> str:
    """Return names in a list, followed by "is" or "are" on request; after six names, how many others there are."""
    shown = list(labels[:_MOST_NAMED])
    if len(labels) > _MOST_NAMED:
        shown.append(f"{len(labels) - _MOST_NAMED} others")
    text = numbers.listed(shown)
    return f"{text} {'is' if len(labels) == 1 else 'are'}" if verb else text
