"""The comparison with cleanlab, on a problem of a few rows and without cleanlab."""

from benchmarks import confident, goals


def test_without_cleanlab_ours_runs_alone_and_the_page_says_so(tmp_path) -> None:
    assert confident.main(["--rows", "500", "--classes", "5", "--rounds", "2", "--out", str(tmp_path)]) == 0
    text = (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    assert "n = 2" in text
    assert "| confident joint | " in text
    assert "cleanlab was not run: pass the Python of an environment that has it" in text
    found, machines = goals.read(tmp_path / "parts")
    assert [(one.goal, one.case, one.value is None, one.n) for one in found] == [
        ("confident", "500 × 5", True, 2),
        ("confident-memory", "500 × 5", False, 2),
    ]
    assert "torch" in machines["confident"]


def run_of(seconds: float, digest: str) -> dict:
    tasks = confident.TASKS
    return {
        "seconds": dict.fromkeys(tasks, seconds),
        "held": dict.fromkeys(tasks, 440),
        "digests": {task: "" if task == "ranking" else digest for task in tasks},
    }


def test_the_page_has_ratios_memory_and_agreement() -> None:
    runs = {"ours": [run_of(1.0, "a"), run_of(2.0, "a")], "cleanlab": [run_of(4.0, "a"), run_of(10.0, "a")]}
    text = confident.page(runs, rows=10, classes=10, described={"device": "a CPU"})
    assert "- device: a CPU" in text
    assert "| confident joint | 1.50 (1.00–2.00) | 7.00 (4.00–10.00) | 4.5 | 1.10 | 1.10 | yes, exactly |" in text
    ratio, memory = confident.measured(runs, rows=10, classes=10)
    assert (ratio.value, memory.value, ratio.n) == (4.5, 1.1, 2)
    assert {ratio.verdict, memory.verdict} == {"missed"}
    assert goals.line([ratio, memory]) in text
    runs["cleanlab"][1] = run_of(10.0, "b")
    assert "| **no** |" in confident.page(runs, rows=10, classes=10, described={})
