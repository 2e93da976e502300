"""The page on training: its specifications are valid, its code runs, and it names everything that can be chosen."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from softtargets.runs.loggers import LOGGERS
from softtargets.runs.schedules import SHAPES
from softtargets.runs.spec import RunSpec
from softtargets.runs.training import TrainingSpec
from softtargets.runs.update_rules import UPDATE_RULES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
BASE = {"model": {"name": "mlp"}, "training": {"epochs": 1}}


@pytest.mark.parametrize("block", re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL))
def test_specifications_are_valid(block) -> None:
    RunSpec.parse({**BASE, **tomllib.loads(block)})


def test_the_code_runs(capsys) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    made: dict[str, Any] = {}
    exec(compile(block, "training.md", "exec"), made)
    assert made["run"].metrics["test.accuracy"] > 0.8


def test_every_choice_is_on_the_page() -> None:
    for name in (*UPDATE_RULES, *SHAPES, *LOGGERS):
        assert f"`{name}`" in PAGE, name
    for name in ("accumulate", "devices", "sync_batch_norm", "patience", "monitor", "evaluate_every", "loggers"):
        assert name in TrainingSpec.model_fields
        assert name in PAGE
