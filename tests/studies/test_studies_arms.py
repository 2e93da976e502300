"""Arms that combine the runs of other arms: what they are, which runs they need, and what is measured of them."""

import csv
import json
from typing import Any

import pytest

from softtargets._errors import InputError
from softtargets.measures import CombinedRuns
from softtargets.runs.store import RunStore
from softtargets.studies.catalog import find, read_study
from softtargets.studies.expand import cells_of, expand, trained_cells
from softtargets.studies.job import run_study
from softtargets.studies.plan import make_plan
from softtargets.studies.power import _trained
from softtargets.studies.records import CellKey
from softtargets.studies.request import StudyRequest
from softtargets.studies.schema import Study

PLAIN = {"objective": {"name": "cross_entropy"}}
STUDY: dict[str, Any] = {
    "schema_version": 1,
    "name": "small",
    "title": "",
    "question": "",
    "paper": {"authors": "", "title": "", "year": 2026, "venue": "", "url": ""},
    "baseline": "one",
    "arms": {
        "one": {"label": "one network", **PLAIN},
        "two": {"label": "another network", **PLAIN, "seed_offset": 1000},
        "three": {"label": "a third network", **PLAIN, "seed_offset": 2000},
        "pair": {"label": "two networks", "members": ["one", "two"]},
        "all": {"label": "three networks", "members": ["one", "two", "three"]},
        "student": {
            "label": "student",
            "objective": {"name": "distillation"},
            "teachers": [{"arm": "all", "level": 0.0}],
            "seed_offset": 100,
        },
    },
    "scales": {
        "smoke": {
            "seeds": 2,
            "levels": {},
            "run": {"model": {"name": "mlp", "hidden": [8]}, "training": {"epochs": 1}},
        }
    },
    "outputs": {
        "table": {
            "title": "",
            "caption": "",
            "kind": "table",
            "arms": ["one", "pair", "all", "student"],
            "noise": [0.2],
            "metrics": ["test.accuracy", "networks"],
        }
    },
}


def changed(**arms: dict[str, Any]) -> dict[str, Any]:
    return {**STUDY, "arms": {**STUDY["arms"], **arms}}


def test_the_runs_of_members_are_planned_once() -> None:
    study = Study.parse(STUDY)
    assert {key.arm for key in cells_of(study, "smoke", ("table",))} == {"one", "pair", "all", "student"}
    planned = {(item.key.arm, item.seed): item.run for item in expand(study, "smoke", ("table",))}
    assert set(planned) == {(arm, seed) for arm in ("one", "two", "three", "student") for seed in (0, 1)}
    for seed in (0, 1):
        members = [planned[arm, seed] for arm in ("one", "two", "three")]
        assert [run.seeds.order for run in members] == [seed, seed + 1000, seed + 2000]
        assert {run.seeds.noise for run in members} == {seed}
        assert planned["student", seed].teachers == tuple(members)


def test_a_cell_without_members_has_its_own_runs() -> None:
    study = Study.parse(STUDY)
    assert trained_cells(study, CellKey("one", 0.0, 0.2)) == (CellKey("one", 0.0, 0.2),)
    pair = (CellKey("one", 0.0, 0.2), CellKey("two", 0.0, 0.2))
    assert trained_cells(study, CellKey("pair", 0.0, 0.2)) == pair


@pytest.mark.parametrize(
    ("arms", "words"),
    [
        ({"pair": {"label": "", **PLAIN, "members": ["one", "two"]}}, "objective: an objective, or members; got both"),
        ({"pair": {"label": ""}}, "objective: an objective, or members; got neither"),
        ({"pair": {"label": "", "members": ["one"]}}, "members: two arms or more, each once; got"),
        ({"pair": {"label": "", "members": ["one", "one"]}}, "members: two arms or more, each once; got"),
        (
            {"pair": {"label": "", "members": ["one", "two"], "seed_offset": 5}},
            "seed_offset: left out of an arm with members",
        ),
        ({"pair": {"label": "", "members": ["one", "tow"]}}, "did you mean 'two'"),
        (
            {"pair": {"label": "", "members": ["one", "all"]}},
            r"arms\.pair\.members: arms with runs of their own .*'all'",
        ),
        (
            {"swept": {"label": "", **PLAIN, "sweep": "smoothing"}, "pair": {"label": "", "members": ["one", "swept"]}},
            r"arms\.pair\.members: arms with runs of their own .*'swept'",
        ),
        (
            {"later": {"label": "", **PLAIN, "init_from": {"arm": "pair", "level": 0.0}}},
            r"arms\.later\.init_from: an arm with runs of its own; got 'pair'",
        ),
        (
            {"one": {"label": "", "members": ["two", "three"]}, "all": {"label": "", **PLAIN}},
            "baseline: an arm with runs",
        ),
    ],
)
def test_wrong_members_are_refused(arms: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Study.parse(changed(**arms))


def test_an_ensemble_is_measured_from_its_members_and_counted_apart(tmp_path) -> None:
    options: Any = {"scale": "smoke", "runs": tmp_path / "runs", "reports": tmp_path / "reports"}
    outcome = run_study("alternatives", "information", workers=1, **options)
    # hard targets, label smoothing and mixup, and four more networks with hard targets, at two seeds
    assert (outcome.trained, outcome.failed) == (7 * 2, 0)
    results = outcome.results
    assert len(results.runs) == 14
    (first, second) = results.records(CellKey("ensemble", 0.0, "digits-clean"))
    for record in (first, second):
        assert record.status == "complete"
        assert record.metrics["networks"] == 5
        assert 0 < record.metrics["information"] < 7
        members = [one for one in results.runs if one.run_id in record.members]
        assert {one.key.arm for one in members} == {"hard", "hard-2", "hard-3", "hard-4", "hard-5"}
        assert record.seconds == pytest.approx(sum(one.seconds for one in members))
    assert not set(first.members) & set(second.members)
    plan = make_plan(StudyRequest.of("alternatives", "information", options), RunStore(tmp_path / "runs"))
    known = {run.identity: run for run in plan.resolved}
    assert CombinedRuns(tuple(known[name] for name in first.members)).identity == first.run_id
    lines = list(csv.DictReader((outcome.page.parent / "results.csv").read_text().splitlines()))
    assert [line["networks"] for line in lines if line["arm"] == "ensemble"] == ["5.0", "5.0"]
    page = outcome.page.read_text()
    assert "Total training time of 14 runs" in page
    assert "one line for each run and each combination of runs" in page
    content = json.loads((outcome.page.parent / "results.json").read_text())
    assert {cell["arm"] for cell in content["cells"]} >= {"ensemble", "hard-5"}


def test_a_claim_on_an_ensemble_needs_the_runs_of_its_members() -> None:
    study = read_study(find("alternatives"))
    claim = next(claim for claim in study.claims if claim.id == "ensemble-improves")
    arms = {key.arm for key in _trained(study, claim, "desk")}
    assert arms == {"hard", "hard-2", "hard-3", "hard-4", "hard-5"}
