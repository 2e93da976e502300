"""The page about the relabelling loop: its example runs, and it names the formats that there are."""

import re
from pathlib import Path

from softtargets.audit.review.formats import FORMATS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "relabelling.md").read_text(encoding="utf-8")


def test_the_example_runs():
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 1
    exec(compile(blocks[0], "relabelling.md", "exec"), {})


def test_all_formats_are_named():
    table = PAGE.split("## Export")[1].split("## Import")[0]
    assert set(re.findall(r"^\| `([a-z][\w-]*)`", table, re.MULTILINE)) == set(FORMATS)
