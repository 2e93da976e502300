"""The steps from an audit to a better model run as written, with fewer draws of the bootstrap."""

import re
from pathlib import Path

import pytest

from softtargets.evaluate import EvaluationOptions

ROOT = Path(__file__).resolve().parents[2]
BANKING = ROOT.parent / "shared" / "data" / "banking77"
PAGE = (ROOT / "docs" / "clean-labels.md").read_text(encoding="utf-8")


@pytest.mark.skipif(not BANKING.exists(), reason="needs banking77 in ../shared/data beside the repository")
def test_the_steps_run_and_name_the_files_that_there_are(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("banking77").symlink_to(BANKING)
    made: dict = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        made["options"] = EvaluationOptions(n_draws=50)
        block = block.replace("predictions=request)", "predictions=request, options=options)")
        exec(compile(block, "clean-labels.md", "exec"), made)
    assert made["audit"].audited.num_rows == 10_003
    named = set(re.findall(r"^\| `([\w.]+)`(?:, `([\w.]+)`)?", PAGE, re.MULTILINE))
    files = {name for pair in named for name in pair if name}
    assert files == {"suspects.csv", "suspects.parquet", "all.parquet", "cleaned.csv", "transition.csv", "train.toml"}
    assert files <= {path.name for path in Path("audited").iterdir()}
    assert [model.num_rows for model in made["evaluation"].models] == [3080] * 3
    assert set(made["gains"]) == {"recommended", "cleaned"}
    assert 0 < len(made["kept"]) < 10_003
    assert "gain of cleaned: " in capsys.readouterr().out
