"""The pages on ensembles and on what is done after training: their code runs, and they name every choice."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from softtargets.calibration.calibrator import calibrator_names
from softtargets.ensembles import KINDS
from softtargets.ensembles.job import read_specification
from softtargets.export.job import FORMATS

DOCS = Path(__file__).resolve().parents[2] / "docs"
ENSEMBLES, EXPORT = ((DOCS / name).read_text(encoding="utf-8") for name in ("ensembles.md", "export.md"))


@pytest.mark.parametrize("page", [ENSEMBLES, EXPORT], ids=["ensembles", "export"])
def test_the_code_runs(page: str) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    made: dict[str, Any] = {}
    exec(compile(block, "page", "exec"), made)


def test_the_specification_is_valid() -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", ENSEMBLES, re.DOTALL)
    assert read_specification(tomllib.loads(block))[1].name == "seeds"


def test_every_choice_is_on_the_page() -> None:
    for name in KINDS:
        assert f"`{name}`" in ENSEMBLES, name
    for name in (*FORMATS, *calibrator_names()):
        assert f"`{name}`" in EXPORT, name
