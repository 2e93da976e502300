"""The comparison with cleanlab, on a problem of a few rows and without cleanlab."""

from benchmarks import confident


def test_without_cleanlab_ours_runs_alone_and_the_page_says_so(tmp_path) -> None:
    page = tmp_path / "page.md"
    assert confident.main(["--rows", "500", "--classes", "5", "--rounds", "2", "--out", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert "n = 2" in text
    assert "| confident joint | " in text
    assert "cleanlab was not run: pass the Python of an environment that has it" in text


def run_of(seconds: float, digest: str) -> dict:
    tasks = confident.TASKS
    return {
        "seconds": dict.fromkeys(tasks, seconds),
        "held": dict.fromkeys(tasks, 440),
        "digests": {task: "" if task == "ranking" else digest for task in tasks},
    }


def test_the_page_has_ratios_memory_and_agreement() -> None:
    runs = {"ours": [run_of(1.0, "a"), run_of(2.0, "a")], "cleanlab": [run_of(4.0, "a"), run_of(10.0, "a")]}
    text = confident.page(runs, rows=10, classes=10)
    assert "| confident joint | 1.50 (1.00–2.00) | 7.00 (4.00–10.00) | 4.5 | 1.10 | 1.10 | yes, exactly |" in text
    assert "at least 8×, missed with 4.5×; memory at most 1.05, missed with 1.10." in text
    runs["cleanlab"][1] = run_of(10.0, "b")
    assert "| **no** |" in confident.page(runs, rows=10, classes=10)
