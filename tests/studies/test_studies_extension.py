"""The module of a study: exact numbers and output kinds of its own, for it alone."""

import math
from pathlib import Path

import pytest

from softtargets._errors import InputError
from softtargets.studies import run_study
from softtargets.studies.catalog import find, shipped
from softtargets.studies.extension import load_extension
from softtargets.studies.load import load_study
from softtargets.studies.outputs import KINDS

MODULE = """
from dataclasses import dataclass

from softtargets.report.plain import PlainRow, PlainTable
from softtargets.studies.outputs.kind import OutputKind, output_kind

EXACT = {"half": lambda: 0.5}


@output_kind("halves")
@dataclass(frozen=True)
class Halves(OutputKind):
    values: tuple[float, ...] = ()

    @classmethod
    def gather(cls, output, evidence):
        return cls((0.5, 0.25))

    def draw(self, results, output):
        return None

    def table(self, results, output):
        rows = tuple(PlainRow(f"{value:g}", ((f"{value:g}", value),)) for value in self.values)
        return PlainTable("Halves.", ("Power", "Value"), (("", rows),))
"""
STUDY = """
schema_version = 1
name = "own"
title = "A study with a module"
question = "Is its module run?"
baseline = "CE"
paper = { authors = "nobody", title = "none", year = 2026, venue = "none", url = "https://example.org" }

[arms.CE]
label = "hard targets"
objective = { name = "cross_entropy" }

[scales.smoke]
seeds = 2
levels = {}
run = {}

[outputs.figure1]
title = "Figure 1: halves"
caption = "Powers of one half."
kind = "halves"

[[claims]]
id = "below"
quote = "q"
where = "w"
output = "figure1"
reading = "One half is below one."
relation = "<"
threshold = 1.0
exact = "half"
"""


@pytest.fixture
def folder(tmp_path) -> Path:
    """Return the folder of a study with a kind and an exact number of its own."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "study.toml").write_text(STUDY)
    (tmp_path / "own" / "study.py").write_text(MODULE)
    return tmp_path / "own"


def test_a_study_of_the_users_own_shows_its_kind_and_judges_its_number(folder, tmp_path) -> None:
    outcome = run_study(folder, scale="smoke", runs=tmp_path / "runs", reports=tmp_path / "reports")
    assert [verdict.name for verdict in outcome.results.verdicts] == ["reproduced"]
    assert outcome.results.shown["figure1"].values == (0.5, 0.25)
    assert "halves" not in KINDS
    assert repr(outcome).startswith("<own at smoke scale: 0 runs trained, 0 present, 0 failed; claims: 1 reproduced;")
    page = outcome.page.read_text()
    assert "Halves." in page
    assert '<data value="0.25">0.25</data>' in page


def test_every_exact_number_of_a_shipped_study_is_finite_and_is_claimed() -> None:
    for name in shipped():
        loaded = load_study(find(name))
        claimed = {claim.exact for claim in loaded.study.claims}
        assert claimed - {None} == set(loaded.extension.exact)
        assert all(math.isfinite(number()) for number in loaded.extension.exact.values())


def test_an_unknown_number_or_kind_names_the_nearest(folder) -> None:
    text = (folder / "study.toml").read_text()
    (folder / "study.toml").write_text(text.replace('exact = "half"', 'exact = "halff"'))
    with pytest.raises(InputError, match=r"exact number of claim below: .*did you mean 'half'"):
        load_study(folder)
    (folder / "study.toml").write_text(text.replace('kind = "halves"', 'kind = "halfs"'))
    with pytest.raises(InputError, match=r"outputs.figure1.kind: .*did you mean 'halves'"):
        load_study(folder)


def test_a_module_that_cannot_be_run_is_named(folder) -> None:
    (folder / "study.py").write_text("import nothing_of_that_name\n")
    with pytest.raises(InputError, match=r"study\.py: a module that can be imported; got ModuleNotFoundError"):
        load_extension(folder)


def test_a_study_without_a_module_has_the_shipped_kinds() -> None:
    found = load_extension(find("compatibility"))
    assert found.exact == {}
    assert found.kinds is KINDS
    assert {"table", "sweep", "density", "reliability", "projection", "classes", "trace", "against"} <= set(KINDS)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("    def draw(self", "    def drew(self", "abstract"),
        ('EXACT = {"half": lambda: 0.5}', 'EXACT = {"half": 0.5}', r"EXACT\['half'\] is not a function"),
        ('EXACT = {"half": lambda: 0.5}', "EXACT = [1, 2]", "cannot convert"),
        ('EXACT = {"half": lambda: 0.5}', "raise SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_a_module_that_cannot_be_used_is_refused_before_anything_is_trained(folder, old, new, said) -> None:
    assert old in MODULE
    (folder / "study.py").write_text(MODULE.replace(old, new))
    with pytest.raises(InputError, match=rf"study\.py: a module that can be imported; got .*{said}"):
        load_study(folder)


def test_a_module_imports_those_beside_it(folder) -> None:
    (folder / "numbers_of_its_own.py").write_text("HALF = 0.5\n")
    (folder / "study.py").write_text("from .numbers_of_its_own import HALF\n" + MODULE.replace("0.5}", "HALF}"))
    assert load_extension(folder).exact["half"]() == 0.5


def test_a_kind_may_list_metrics_of_its_own_unless_it_shows_them_for_each_run(folder) -> None:
    text = (folder / "study.toml").read_text().replace('kind = "halves"', 'kind = "halves"\nmetrics = ["own.metric"]')
    (folder / "study.toml").write_text(text)
    own = MODULE.replace("    values: tuple", '    metrics = ("own.metric",)\n    per_run = False\n    values: tuple')
    (folder / "study.py").write_text(own)
    assert load_study(folder).study.outputs["figure1"].metrics == ("own.metric",)
    (folder / "study.py").write_text(own.replace("per_run = False", "per_run = True"))
    with pytest.raises(InputError, match=r"figure1.metrics: measures of runs, .*set per_run = False in .* Halves"):
        load_study(folder)
