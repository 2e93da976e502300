"""The findings on sequences: at which positions and for which tokens the model is over- or under-confident."""

from collections.abc import Callable, Sequence

from softtargets.evaluate.findings import MARGIN
from softtargets.evaluate.results import EvaluatedModel, Finding
from softtargets.evaluate.text import points_of, range_of, text_of
from softtargets.evaluate.tokens.results import TokenEvaluation, TokenRange, TokenTable, range_text
from softtargets.report import numbers

TOKENS_RULE = (
    "Tokens of a range are called over-confident if the interval of confidence − accuracy lies above "
    f"{numbers.rate(MARGIN)}, and under-confident if it lies below −{numbers.rate(MARGIN)}. These intervals are wider "
    "than those shown: they hold for all ranges of a table together (Bonferroni). Ranges of the label’s frequency are "
    "not judged: the label is the outcome, so even a calibrated model is over-confident on rare labels and "
    "under-confident on frequent ones."
)
# A change of the NLL, in nats, that does not matter in practice.
_SMALL = 0.005
# A finding names at most this many ranges.
_MOST = 4


def find_tokens(model: EvaluatedModel) -> tuple[Finding, ...]:
    """Return the findings on positions, frequencies and temperatures by position; none for single examples."""
    tokens = model.tokens
    if tokens is None:
        return ()
    found = [
        _judged(tokens.table("position"), _positions, "at all positions"),
        _judged(tokens.table("predicted"), _occurrences, "at all token frequencies"),
    ]
    return (*found, *_by_position(tokens))


def _positions(ranges: str) -> str:
    return f"at position{'' if ranges.replace(',', '').isdecimal() else 's'} {ranges}"


def _occurrences(ranges: str) -> str:
    return f"on predicted tokens with {ranges} occurrences"


def _judged(table: TokenTable, where: Callable[[str], str], everywhere: str) -> Finding:
    over = [one for one in table.ranges if one.gap is not None and one.gap.low > MARGIN]
    under = [one for one in table.ranges if one.gap is not None and one.gap.high < -MARGIN]
    within = all(one.gap is not None and -MARGIN <= one.gap.low <= one.gap.high <= MARGIN for one in table.ranges)
    if within:
        return Finding(
            "reproduced", f"Calibrated to within {numbers.rate(MARGIN)} {everywhere}.", (_perplexities(table, where),)
        )
    if not over and not under:
        title = f"Undecided whether calibrated to within {numbers.rate(MARGIN)} {everywhere}."
        return Finding("inconclusive", title, (_perplexities(table, where),))
    parts = []
    for word, ranges in (("over-confident", over), ("under-confident", under)):
        if len(ranges) == len(table.ranges):
            parts.append(f"{word} {everywhere}")
        elif ranges:
            parts.append(f"{word} {where(_joined(ranges))}")
    title = "; ".join(parts)
    gaps = [f"{_gap(one)} {where(one.text)}" for one in (*over, *under)[:_MOST]]
    more = len(over) + len(under) - len(gaps)
    ends = f", and {numbers.count(more, 'more range')}" if more else ""
    sentence = f"Confidence − accuracy: {'; '.join(gaps)}{ends}. {_perplexities(table, where)}"
    return Finding("contradicted", f"{title[0].upper()}{title[1:]}.", (sentence,))


def _joined(ranges: Sequence[TokenRange]) -> str:
    """Return the ranges in words; neighbouring ranges are joined."""
    runs: list[tuple[int, int]] = []
    for one in ranges:
        if runs and runs[-1][1] + 1 == one.low:
            runs[-1] = runs[-1][0], one.high
        else:
            runs.append((one.low, one.high))
    shown = [range_text(low, high) for low, high in runs]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _gap(one: TokenRange) -> str:
    metric = one.metric("overconfidence")
    ends = range_of(metric.interval, "percent", signed=True)
    return points_of(metric.value, "percent") + (f" ({ends})" if ends else "")


def _perplexities(table: TokenTable, where: Callable[[str], str]) -> str:
    """Return where the perplexity is lowest and highest, in a sentence."""
    known = [(one.metric("perplexity").value, one) for one in table.ranges]
    ordered = sorted((value, one.low, one) for value, one in known if value is not None)
    if len(ordered) < 2:
        return ""
    lowest, highest = (
        f"{where(one.text)} ({text_of(value, 'factor')})" for value, _, one in ordered[:: len(ordered) - 1]
    )
    return f"Perplexity is lowest {lowest} and highest {highest}."


def _by_position(tokens: TokenEvaluation) -> tuple[Finding, ...]:
    found = tokens.by_position
    change = found and found.change("nll")
    if found is None or change is None or change.interval is None:
        return ()
    low, high = change.interval
    size = f"NLL changes by {points_of(change.value, 'nats')} ({range_of(change.interval, 'nats', signed=True)})"
    sentences = (f"{size} against one temperature, on sequences that were not used to fit.",)
    if -_SMALL <= low <= high <= _SMALL:
        return (Finding("reproduced", "One temperature for all positions is enough.", sentences),)
    if high < 0:
        return (Finding("reproduced", "A temperature for each range of positions is better than one.", sentences),)
    if low > 0:
        return (Finding("contradicted", "A temperature for each range of positions is worse than one.", sentences),)
    title = "Undecided whether temperatures by position are better than one."
    return (Finding("inconclusive", title, sentences),)
