"""The page on prediction sets: its code prints what it says, and its names and options exist."""

import re
from pathlib import Path
from typing import Any

import pytest

from softtargets import calibration, metrics
from softtargets.cli import evaluate as command

ROOT = Path(__file__).resolve().parents[2]
CLINC = ROOT.parent / "shared" / "data" / "clinc150"
PAGE = (ROOT / "docs" / "prediction-sets.md").read_text(encoding="utf-8")
NUMBER = r"\d+(?:\.\d+)?"


@pytest.mark.slow
@pytest.mark.skipif(not CLINC.exists(), reason="needs clinc150 in ../shared/data beside the repository")
def test_the_code_prints_what_the_page_shows(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Path("clinc150").symlink_to(CLINC)
    made: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(block, "prediction-sets.md", "exec"), made)
    printed = capsys.readouterr().out.splitlines()
    shown = [line for text in re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL) for line in text.splitlines()][:7]
    assert [re.sub(NUMBER, "x", line) for line in printed] == [re.sub(NUMBER, "x", line) for line in shown]
    for ours, theirs in zip(printed, shown, strict=True):
        # other versions of numpy and scikit-learn round differently
        assert [float(x) for x in re.findall(NUMBER, ours)] == pytest.approx(
            [float(x) for x in re.findall(NUMBER, theirs)], rel=0.02
        )


def test_names_and_options_of_the_page_exist() -> None:
    source = Path(command.__file__).read_text(encoding="utf-8")
    options = set(re.findall(r"`--([a-z-]+)", PAGE))
    assert {"conformal", "conformal-from", "seed"} <= options
    for option in options:
        assert f"    {option.replace('-', '_')}: Annotated" in source, option
    for name in ("LAC", "APS", "RAPS", "coverage_range"):
        assert hasattr(calibration, name)
        assert name in PAGE
    assert all(f"`{name}" in PAGE and hasattr(metrics, name) for name in ("set_coverage", "SetCoverage"))
    assert (ROOT / "tests" / "calibration" / "conformal_references.py").exists()
