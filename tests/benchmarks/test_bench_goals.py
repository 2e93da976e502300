"""The table of goals: worst cases, verdicts and files."""

import pytest

from benchmarks import goals, pages
from benchmarks.goals import Goal, Measured


def _line(found: list[Measured], goal: str) -> str:
    return next(
        line for line, key in zip(goals.table(found, {"losses": "Losses"})[2:], goals.GOALS, strict=True) if key == goal
    )


def test_the_worst_case_is_shown_and_all_must_reach_the_limit() -> None:
    found = [Measured("large", "a", 0.2, 9), Measured("large", "b", 0.4, 11), Measured("busy", "c", 0.9, 9)]
    assert "0.4× torch (b) | 9–11 | **missed**, 1 of 2 cases | [Losses](#losses) |" in _line(found, "large")
    assert "0.9× torch (c) | 9 | met |" in _line(found, "busy")
    found = [Measured("ece-torchmetrics", case, value, 9) for case, value in (("a", 9.0), ("b", 8.0))]
    assert "≥ 8× as fast as torchmetrics | 8× (b) | 9 | met, 2 of 2 cases | – |" in _line(found, "ece-torchmetrics")


def test_missing_values_and_few_rounds_are_marked() -> None:
    assert "| – | – | not measured |" in _line([], "large")
    assert "| 5 (few) |" in _line([Measured("linear", "a", 0.5, 5)], "linear")
    text = _line([Measured("large", "a", 0.3, 9), Measured("large", "b", None, 0)], "large")
    assert "**missed**, 1 of 2 cases" in text
    assert goals.details([Measured("large", "b", None, 0)]) == ["- not measured: losses, b: ≤ 0.35× torch, no value"]
    line = goals.line([Measured("large", "a", 0.3, 9), Measured("large", "b", 0.5, 9)])
    assert line == "Goals: a: ≤ 0.35× torch, measured 0.3: met; b: ≤ 0.35× torch, measured 0.5: **missed**."


def test_every_goal_belongs_to_a_section() -> None:
    assert {goal.part for goal in goals.GOALS.values()} <= set(pages.PARTS)


def test_a_limit_is_included() -> None:
    assert Goal("", 0.5, "", "losses").met(0.5)
    assert Goal("", 8, "", "ece", least=True).met(8.0)
    assert not Goal("", 8, "", "ece", least=True).met(7.99)


def test_the_page_starts_with_the_table_from_the_files_of_all_sections(tmp_path) -> None:
    machine = {"device": "a processor", "torch": "2", "load before": "1 2 3", "system": "not shown"}
    pages.put(tmp_path, "losses", "# Losses\n\ntext", [Measured("large", "a", 0.3, 9)], machine)
    page = pages.put(tmp_path, "ece", "# Calibration error", [Measured("ece-netcal", "a", 20.0, 3)], machine)
    text = page.read_text("utf-8")
    assert text.index("## Goals") < text.index("| quantity |") < text.index("# Losses\n")
    assert "- Losses: device: a processor; torch: 2; load before: 1 2 3\n" in text
    assert "| 0.3× torch (a) | 9 | met | [Losses](#losses) |" in text
    assert "- missed: ece, a: ≥ 30× as fast as netcal, measured 20" in text
    with pytest.raises(ValueError, match="goal: must be one of"):
        pages.put(tmp_path, "ece", "# Calibration error", [Measured("other", "a", 1.0, 1)], machine)
