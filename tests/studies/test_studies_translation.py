"""Studies of translation at smoke scale on synthetic pairs: trained, measured, judged and drawn."""

import re
import sys
from pathlib import Path

import pytest
from pairs import write_pairs

from softtargets._errors import InputError
from softtargets.runs.spec import ResolvedRun
from softtargets.runs.store import RunStore
from softtargets.studies import estimate_power, run_study
from softtargets.studies.catalog import find, read_study
from softtargets.studies.expand import expand, select_outputs
from softtargets.train.execute import resolve

pytest.importorskip("transformers", reason="transformers is not installed")


def _resolved(study: str, scale: str) -> list[ResolvedRun]:
    """Return the runs of the setting `translation` of a study, resolved for data that are the same for all of them."""
    read = read_study(find(study))
    planned = expand(read.seen_from("translation"), scale, select_outputs(read, "translation"))
    return [resolve(item.run, "the same data") for item in planned]


@pytest.mark.parametrize(("scale", "seeds"), [("smoke", 2), ("desk", 3), ("paper", 3)])
def test_the_students_of_shen2021_learn_from_the_two_teachers_of_the_setting(scale: str, seeds: int) -> None:
    runs = _resolved("shen2021", scale)
    teachers = {teacher.identity for run in runs for teacher in run.teachers or ()}
    assert len(teachers) == 2 * seeds
    # the curves of the teachers need no other run, and students have seeds of their own
    assert {run.identity for run in runs if run.run.model == runs[0].run.model} == teachers
    students = [run for run in runs if run.identity not in teachers]
    assert len(students) == 5 * seeds
    for student in students:
        for teacher in student.run.teachers or ():
            assert student.run.seeds.initialisation != teacher.seeds.initialisation


def test_without_sacrebleu_nothing_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pairs(tmp_path)
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics.bleu", None)
    places = {"bentrevett/multi30k": str(tmp_path)}
    options = {"scale": "smoke", "places": places, "runs": tmp_path / "runs", "reports": tmp_path / "reports"}
    message = r"^BLEU: the package sacrebleu; .*pip install 'softtargets\[text\]'$"
    with pytest.raises(InputError, match=message):
        run_study("mueller2019", "translation", **options)
    with pytest.raises(InputError, match=message):
        estimate_power("mueller2019", "translation", **options)
    assert list(RunStore(tmp_path / "runs").recorded()) == []
    assert not (tmp_path / "reports").exists()


@pytest.mark.slow
def test_mueller2019_shows_figures_3_and_4_and_translations(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    runs, reports = tmp_path / "runs", tmp_path / "reports"
    outcome = run_study(
        "mueller2019",
        "translation",
        scale="smoke",
        places={"bentrevett/multi30k": str(tmp_path)},
        runs=runs,
        reports=reports,
    )
    results = outcome.results
    assert [record.reason for record in results.cells if record.status != "complete" or record.reason] == []
    assert {verdict.claim.id for verdict in results.verdicts} >= {"translation-calibrated", "translation-bleu"}
    assert all(verdict.name != "not run" for verdict in results.verdicts)
    drawn = results.shown
    diagrams = drawn["figure3"].diagrams  # pyright: ignore[reportAttributeAccessIssue]
    # hard targets and smoothing, before temperature scaling; a fit on so few tokens may not converge
    tokens = {diagram.key.arm: sum(diagram.count) for diagram in diagrams if diagram.metric == "test.token_ece15"}
    assert set(tokens) == {"CE", "LS"}
    assert len(set(tokens.values())) == 1
    figure = drawn["figure4"].draw(results, results.study.outputs["figure4"])
    assert figure is not None
    assert [panel.y_title for panel in figure.panels] == [
        "Test BLEU",
        "Test NLL per token (nats)",
        "Test ECE of the next token",
    ]
    table = drawn["translations"].table(results, results.study.outputs["translations"])
    assert table is not None
    assert len(table.groups) == 20
    assert {row.label for _, rows in table.groups for row in rows} == {
        "reference",
        *(look.label for look in figure.series),
    }
    assert "case:lc" in table.caption
    page = outcome.page.read_text(encoding="utf-8")
    assert "Figure 4: BLEU" in page
    assert table.groups[0][0] in page
    assert page.count('class="numbers words"') == 1
    assert re.search(r"<dd>at most \d+ tokens of a vocabulary of \d+</dd>", page)


@pytest.mark.slow
def test_shen2021_shows_figure_7(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    runs, reports = tmp_path / "runs", tmp_path / "reports"
    places = {"bentrevett/multi30k": str(tmp_path)}
    results = run_study("shen2021", "translation", scale="smoke", places=places, runs=runs, reports=reports).results
    assert [record.reason for record in results.cells if record.status != "complete" or record.reason] == []
    assert {record.key.arm for record in results.cells} >= {"words-of-smoothed", "sentences-of-smoothed"}
    assert all(verdict.name != "not run" for verdict in results.verdicts)
    traces = results.shown["figure7"].traces  # pyright: ignore[reportAttributeAccessIssue]
    assert {trace.metric for trace in traces} == {"validation.bleu", "objective"}
    assert {trace.epochs for trace in traces} == {(1, 2)}
