"""The README's code runs, and the files and commands it names exist."""

import re
from pathlib import Path
from typing import Any

from softtargets.studies.catalog import shipped

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SECTIONS = {part.partition("\n")[0]: part for part in README.split("\n## ")[1:]}


def test_the_code_runs(capsys) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == README.count("```python") == 1
    made: dict[str, Any] = {}
    exec(compile(blocks[0], "README.md", "exec"), made)
    assert made["loss"].shape == ()
    rate, error = map(float, capsys.readouterr().out.split())
    assert rate == 0.2
    assert 0 < error < 1


def test_what_it_names_exists() -> None:
    for path in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / path).exists(), path
    assert {str(path.relative_to(ROOT)) for path in ROOT.glob("records/*/README.md")} <= set(
        re.findall(r"\]\(([^)#:]+)\)", README)
    )
    anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in SECTIONS}
    assert set(re.findall(r"\]\(#([^)]+)\)", README)) <= anchors
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"make (\w+)", README)) <= set(targets)
    assert set(re.findall(r"softtargets (?:run|show|report) ([\w-]+)", README)) <= set(shipped())
