"""The page on the doctor: its command prints what the page shows, its code runs, and it names everything."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from softtargets.cli import run_safely
from softtargets.cli.errors import DONE
from softtargets.doctor.faults import FAULTS, link
from softtargets.doctor.readers import READERS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "doctor.md").read_text(encoding="utf-8")
# of the terminal that the page shows
COLUMNS = 110


@pytest.mark.parametrize("block", re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL))
def test_commands_print_what_the_page_shows(block: str, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    command, _, shown = block.partition("\n")
    assert run_safely(shlex.split(command)[2:]) == DONE
    printed = "\n".join(line.rstrip() for line in capsys.readouterr().out.splitlines())
    assert printed.strip() == shown.strip()


def test_the_code_runs(capsys) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    made: dict[str, Any] = {}
    exec(compile(block, "doctor.md", "exec"), made)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "inflated-accumulation huggingface/transformers#46731"
    assert "about 8 times" in lines[1]


def test_every_library_and_every_fault_is_on_the_page() -> None:
    for library, cls in READERS.items():
        assert f"| `--{library} " in PAGE
        assert f"{cls.checked}" in PAGE
    rows = {row[0]: row for row in re.findall(r"^\| `([\w-]+)` \| (.*?) \| (.*) \| (\w+) \|$", PAGE, re.MULTILINE)}
    assert set(rows) == set(FAULTS)
    for name, cls in FAULTS.items():
        _, title, libraries, affects = rows[name]
        assert (title, affects) == (cls.__doc__, cls.affects)
        for library, versions in cls.libraries.items():
            assert f"{library} {versions}".strip() in libraries
        assert all(link(issue) in libraries for issue in cls.issues.values())
