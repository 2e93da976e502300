"""The page: goals and what became of them."""

from benchmarks import table
from benchmarks.measure import Row


def _row(contender: str, ratio: float | None, memory: float | None) -> Row:
    row = Row("smoothing", "4×5", "float32", contender, ratio=ratio, memory=memory)
    row.time_goal, row.most_goal, row.memory_goal = 0.4, 0.25, 1.05
    return row


def test_missed_goals_are_at_the_top_of_the_page() -> None:
    rows = [
        _row("a", 0.5, 1.0),
        _row("b", None, 1.2),
        *(_row("c", ratio, 1.0) for ratio in (0.25, 0.2, 0.1, 0.39, 0.4)),
    ]
    assert table.verdicts(rows[0]) == [("time 0.4×", "missed"), ("memory 1.05", "met")]
    assert table.verdicts(rows[1]) == [("time 0.4×", "not measured"), ("memory 1.05", "missed")]
    assert [verdict for _, verdict in table.most_verdicts(rows)] == ["missed", "not measured", "met"]
    text = table.page(rows, {"device": "a machine"}, rounds=9, warmup=1)
    goals = text[text.index("## Goals") : text.index("## Label smoothing")]
    assert "12 met, 3 missed, 2 not measured." in goals
    assert "- smoothing, 4×5, float32, a: time 0.4×, got 0.5" in goals
    assert "- smoothing, 4×5, float32, b: memory 1.05, got 1.2" in goals
    assert "time 0.4×: **missed**" in text
