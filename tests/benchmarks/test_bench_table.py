"""The section on losses: what is held against a goal, and what is shown."""

from benchmarks import table
from benchmarks.measure import Row


def _row(contender: str, goals: str, **values) -> Row:
    return Row("smoothing", "4×5", "float32", contender, goals=goals, rounds=9, **values)


def test_each_goal_reads_its_quantity() -> None:
    row = _row("a", "large compile memory", ratio=0.3, times_compiled=1.5, memory=1.0, resident=1.01)
    found = {one.goal: one for one in table.measured(row)}
    assert {goal: one.value for goal, one in found.items()} == {"large": 0.3, "compile": 1.5, "memory": 1.01}
    assert {goal: one.verdict for goal, one in found.items()} == {"large": "met", "compile": "missed", "memory": "met"}
    assert found["large"].case == "4×5, float32, a"
    assert (found["large"].n, found["memory"].n) == (9, 1)


def test_memory_outside_torch_counts() -> None:
    inside, outside = (table.measured(_row("a", "memory", memory=1.0, resident=held))[0] for held in (0.9, 1.5))
    assert (inside.value, outside.value) == (1.0, 1.5)
    assert table.measured(_row("a", "memory"))[0].verdict == "not measured"


def test_the_table_has_no_empty_columns() -> None:
    text = table.page([_row("a", "large", ratio=0.5, ratio_q1=0.4, ratio_q3=0.6, memory=1.0)], {"device": "a machine"})
    head = next(line for line in text.splitlines() if line.startswith("| N×C"))
    assert "torch.compile" not in head
    assert "| 4×5 | float32 | a | 0.500 (0.400–0.600) | 9 | 1.000 | ≤ 0.35× torch: **missed** |" in text
    assert "- device: a machine" in text
