"""The page on comparisons agrees with the methods, margins and levels."""

import re
from pathlib import Path

import pytest

from softtargets.compare.inputs import LEAST_ROWS
from softtargets.compare.measures import GUARDED, LEVEL, MEASURES, PRIMARY, TEMPERATURE_LEVEL
from softtargets.compare.methods import METHODS
from softtargets.report import numbers

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "compare.md").read_text(encoding="utf-8")
ROWS: dict[str, str] = dict(re.findall(r"^\| `(\w+)` \| (.*)$", PAGE, re.MULTILINE))
WORDS = re.sub(r"\s+", " ", PAGE)


def test_every_method_is_listed_in_order():
    assert list(ROWS) == list(METHODS)


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.grid])
def test_settings_are_those_of_the_methods(name):
    if name == "cutmix":
        assert METHODS[name].grid == {"probability": (0.5, 1.0)}
        return
    (values,) = METHODS[name].grid.values()
    listed = {
        float(text) for text in re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?", ROWS[name].split("|")[0].replace("−", "-"))
    }
    assert listed == set(values)


def test_levels_margins_and_sizes_are_those_of_the_code():
    shares = "3 % for accuracy, 1 % for NLL, 0.5 % for ECE, 0.5 % for the temperature"
    assert shares in WORDS
    assert [*PRIMARY.values(), TEMPERATURE_LEVEL] == [0.03, 0.01, 0.005, 0.005]
    assert LEVEL == 0.05
    assert "0.5 points of accuracy, 0.02 nats, 0.01 of ECE, and 0.5 points of AURC" in WORDS
    margins = [numbers.in_unit(MEASURES[name].margin, MEASURES[name].unit) for name in GUARDED]
    assert margins == pytest.approx([0.5, 0.02, 0.01, 0.5])
    assert list(LEAST_ROWS.values()) == [100, 50, 100]
    assert "At least 100 training, 50 validation and 100 test rows" in WORDS


def test_the_files_that_the_page_names_exist():
    for path in re.findall(r"`(tests/[\w/]+\.py)`", PAGE):
        assert (ROOT / path).exists(), path
