"""The seeds that claims need: a pilot of the smoke study, and expectations from claims and from the paper's numbers."""

import json
from dataclasses import replace
from statistics import stdev

import pytest

from softtargets._errors import InputError
from softtargets.metrics.power import pairs_needed, smallest_distance, upper_deviation
from softtargets.runs.store import RunStore
from softtargets.studies import estimate_power
from softtargets.studies.catalog import find, read_study
from softtargets.studies.job import run
from softtargets.studies.load import read_reported
from softtargets.studies.power import FIRST_SEED, StudyPower, expectation
from softtargets.studies.records import CellKey

STUDY = read_study(find("lukasik2020"))
REPORTED = read_reported(find("lukasik2020"), STUDY)
CLAIMS = {claim.id: claim for claim in STUDY.claims}


@pytest.fixture(scope="module")
def piloted(tmp_path_factory) -> StudyPower:
    """A pilot of the claims on Table 5, which needs seven of the study's arms and levels."""
    folder = tmp_path_factory.mktemp("pilot")
    options = {"scale": "smoke", "runs": folder / "runs", "reports": folder / "reports"}
    return estimate_power("lukasik2020", "table5", pilot_seeds=3, workers=1, **options)


def test_the_pilot_has_seeds_of_its_own_and_is_kept_in_the_store(piloted) -> None:
    seeds = {run.run.seeds.initialisation for run in piloted.plan.resolved}
    assert seeds == {FIRST_SEED, FIRST_SEED + 1, FIRST_SEED + 2}
    store = RunStore(piloted.plan.request.runs)
    assert all(store.result(run.identity) is not None for run in piloted.plan.resolved)
    assert len(piloted.plan.resolved) == 3 * 7
    request = replace(piloted.plan.request, output="table5")
    assert run(request, workers=1).trained == 2 * 7


def test_seeds_follow_from_the_deviation_of_the_pilot_at_the_level_of_the_family(piloted) -> None:
    store = RunStore(piloted.plan.request.runs)
    found = {claim.claim: claim for claim in piloted.claims}
    assert list(found) == ["ece-ls-small", "ece-ls-large", "ece-correction", "ece-smearing", "ece-preserved"]
    from softtargets.studies.measure import measure_runs

    values = {(cell.key, cell.seed): cell.metrics["test.ece100"] for cell in measure_runs(piloted.plan, store)}
    numbers = range(FIRST_SEED, FIRST_SEED + 3)
    pairs = [values[CellKey("LS", 0.2, 0.2), seed] - values[CellKey("CE", 0.0, 0.2), seed] for seed in numbers]
    large = found["ece-ls-large"]
    assert (large.n, large.deviation) == (3, pytest.approx(stdev(pairs)))
    assert large.upper == pytest.approx(upper_deviation(stdev(pairs), 3, 0.8))
    whole = STUDY.claims_of(None)
    family = [claim for claim in whole if claim.terms and claim.primary == CLAIMS["ece-ls-large"].primary]
    assert large.level == pytest.approx(0.05 / len(family))
    # Table 5: 0.156 - 0.111
    assert (large.expected, large.source) == (pytest.approx(0.045), "paper")
    assert large.seeds == pairs_needed(0.045, (0.0,), large.upper, large.level)
    assert large.smallest == pytest.approx(smallest_distance(large.upper, 2, large.level))


def test_the_numbers_are_written_as_json(piloted) -> None:
    content = json.loads(piloted.path.read_text())
    assert content == json.loads(json.dumps(piloted.to_dict()))
    assert (content["pilot_seeds"], content["planned_seeds"], content["first_pilot_seed"]) == (3, 2, FIRST_SEED)
    assert content["claims"][1]["claim"] == "ece-ls-large"
    assert content["seconds_per_seed"] > 0


def test_the_expectation_of_a_claim_comes_before_that_of_the_paper() -> None:
    claim = CLAIMS["ece-ls-large"]
    assert expectation(STUDY, "desk", claim, REPORTED) == (pytest.approx(0.156 - 0.111), "paper")
    assert expectation(STUDY, "desk", claim.changed(expected=0.01), REPORTED) == (0.01, "claim")
    assert expectation(STUDY, "desk", claim, ()) == (None, "")


def test_of_several_printed_contrasts_the_one_nearest_to_the_boundary_counts() -> None:
    claim = CLAIMS["ece-ls-large"]
    other = [replace(row, model="other", mean=0.2 if row.key.arm == "CE" else 0.19) for row in REPORTED]
    assert expectation(STUDY, "desk", claim, [*REPORTED, *other]) == (pytest.approx(-0.01), "paper")
    # a model for which one of the numbers is not printed gives no contrast
    partial = [row for row in other if row.key.arm == "CE"]
    assert expectation(STUDY, "desk", claim, [*REPORTED, *partial]) == (pytest.approx(0.045), "paper")


@pytest.mark.parametrize("seeds", [1, 101, 2.0, True])
def test_a_pilot_of_another_size_is_refused(seeds, tmp_path) -> None:
    with pytest.raises(InputError, match="pilot_seeds: a whole number from 2 to 100; got"):
        estimate_power("lukasik2020", pilot_seeds=seeds, runs=tmp_path)
