"""The page on the evaluation of sequences: its code runs and gives what it says."""

import re
from pathlib import Path
from typing import Any

from softtargets.cli import evaluate as command

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "evaluate.md").read_text(encoding="utf-8")


def test_the_code_runs(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    made: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(block, "evaluate.md", "exec"), made)
    lines = capsys.readouterr().out.splitlines()
    assert [line.rsplit(" ", 3)[0] for line in lines] == ["0", "1", "2 to 3", "4 to 7", "8 to 11"]
    assert Path("lm.npz").exists()


def test_options_on_the_page_exist() -> None:
    source = Path(command.__file__).read_text(encoding="utf-8")
    for option in set(re.findall(r"`--([a-z-]+)", PAGE)):
        assert f"    {option.replace('-', '_')}: Annotated" in source, option
