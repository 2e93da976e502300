"""The findings on sequences: which ranges are named, and when none is."""

from dataclasses import replace
from typing import Any

import pytest

from softtargets.evaluate.tokens.findings import find_tokens
from softtargets.evaluate.tokens.results import (
    RangeTemperature,
    TemperatureByPosition,
    TokenEvaluation,
    TokenRange,
    TokenTable,
)
from softtargets.evaluate.values import IntervalEnds, MetricValue

CALIBRATED, OVER, UNDER, UNKNOWN = (-0.01, 0.01), (0.03, 0.09), (-0.09, -0.03), (-0.05, 0.05)
STEPS = ((0, 0), (1, 1), (2, 3), (4, 7))


def table(key: Any, gaps: list[tuple[float, float] | None]) -> TokenTable:
    ranges = []
    for place, ((low, high), gap) in enumerate(zip(STEPS, gaps, strict=False)):
        ends = None if gap is None else IntervalEnds(*gap)
        metrics = (
            MetricValue("perplexity", 10.0 - place),
            MetricValue("overconfidence", 0.0 if gap is None else sum(gap) / 2, ends),
        )
        ranges.append(TokenRange(low, high, 100, 50, metrics, (), ends))
    return TokenTable(key, tuple(ranges))


class Model:
    """The part of an evaluated model that these findings are of."""

    def __init__(self, gaps: list[tuple[float, float] | None], change: IntervalEnds | None = None) -> None:
        value = None if change is None else sum(change) / 2
        found = None
        if change is not None:
            changes = (MetricValue("nll", value, change),)
            found = TemperatureByPosition((RangeTemperature(0, 0, (1.0, 1.0)),), (), changes)
        tables = table("position", gaps), table("predicted", [CALIBRATED]), table("label", [OVER])
        self.tokens: TokenEvaluation | None = TokenEvaluation(50, 8, 0, 0, "the labels", tables, found)


def titles(model: Any) -> list[str]:
    return [finding.title for finding in find_tokens(model)]


@pytest.mark.parametrize(
    ("gaps", "title", "tone"),
    [
        ([CALIBRATED] * 4, "Calibrated to within 2 % at all positions.", "reproduced"),
        ([CALIBRATED, None], "Undecided whether calibrated to within 2 % at all positions.", "inconclusive"),
        ([CALIBRATED, UNKNOWN], "Undecided whether calibrated to within 2 % at all positions.", "inconclusive"),
        # above 0, but not above the margin
        ([(0.005, 0.05)] * 2, "Undecided whether calibrated to within 2 % at all positions.", "inconclusive"),
        ([OVER] * 4, "Over-confident at all positions.", "contradicted"),
        ([OVER, CALIBRATED, UNKNOWN, None], "Over-confident at position 0.", "contradicted"),
        ([CALIBRATED, OVER, OVER, CALIBRATED], "Over-confident at positions 1 to 3.", "contradicted"),
        ([OVER, CALIBRATED, OVER], "Over-confident at positions 0 and 2 to 3.", "contradicted"),
        (
            [OVER, UNDER, CALIBRATED, UNDER],
            "Over-confident at position 0; under-confident at positions 1 and 4 to 7.",
            "contradicted",
        ),
    ],
)
def test_ranges_are_named_if_their_whole_interval_is_beyond_the_margin(gaps, title, tone):
    (found, of_predicted) = find_tokens(Model(gaps))  # pyright: ignore[reportArgumentType]
    assert (found.title, found.tone) == (title, tone)
    assert of_predicted.title == "Calibrated to within 2 % at all token frequencies."


def test_the_size_of_the_gap_and_the_perplexity_are_told():
    (found, _) = find_tokens(Model([CALIBRATED, CALIBRATED, OVER]))  # pyright: ignore[reportArgumentType]
    assert found.sentences == (
        "Confidence − accuracy: +6.00 points (+3.00 to +9.00) at positions 2 to 3. "
        "Perplexity is lowest at positions 2 to 3 (8.00) and highest at position 0 (10.00).",
    )


def test_the_label_is_an_outcome_and_not_judged():
    assert not any("label" in title for title in titles(Model([CALIBRATED])))


@pytest.mark.parametrize(
    ("change", "title"),
    [
        ((-0.2, -0.1), "A temperature for each range of positions is better than one."),
        ((0.1, 0.2), "A temperature for each range of positions is worse than one."),
        ((-0.004, -0.001), "One temperature for all positions is enough."),
        ((-0.1, 0.1), "Undecided whether temperatures by position are better than one."),
        ((-0.1, -0.001), "A temperature for each range of positions is better than one."),
    ],
)
def test_temperatures_by_position_are_judged_by_the_interval_of_nll(change, title):
    assert titles(Model([CALIBRATED], IntervalEnds(*change)))[2:] == [title]


def test_single_examples_have_none():
    model = Model([CALIBRATED])
    model.tokens = None
    assert titles(model) == []


def test_a_range_without_a_finite_perplexity_is_shown():
    model = Model([CALIBRATED, CALIBRATED])
    assert model.tokens is not None
    first, *others = model.tokens.table("position").ranges
    infinite = replace(first, metrics=(MetricValue("perplexity", float("inf")), *first.metrics[1:]))
    tables = (TokenTable("position", (infinite, *others)), *model.tokens.tables[1:])
    model.tokens = replace(model.tokens, tables=tables)
    (found, _) = find_tokens(model)  # pyright: ignore[reportArgumentType]
    assert found.sentences == ("Perplexity is lowest at position 1 (9.00) and highest at position 0 (∞).",)
