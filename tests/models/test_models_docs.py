"""docs/models.md names every network, and its specifications are valid."""

import re
import tomllib
from pathlib import Path

import pytest

from softtargets.models import MODELS
from softtargets.models.network import NetworkSpec
from softtargets.runs.spec import RunSpec

PAGE = Path(__file__).resolve().parents[2] / "docs" / "models.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_the_table_has_every_network_of_this_package() -> None:
    names = re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE)
    assert sorted(names) == sorted(name for name, spec in MODELS.items() if issubclass(spec, NetworkSpec))


@pytest.mark.parametrize("block", re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL))
def test_specifications_are_valid(block: str) -> None:
    assert RunSpec.parse({**tomllib.loads(block), "training": {"epochs": 1}})


@pytest.mark.parametrize("place", re.findall(r"\]\(([^)#]+)\)", TEXT))
def test_links_exist(place: str) -> None:
    assert (PAGE.parent / place).exists()
