"""The study of every objective under noise: named noise, settings of its own for CIFAR-10, and arms without levels."""

from pathlib import Path
from typing import Any

import pytest

from softtargets._errors import InputError
from softtargets._spec import read_toml
from softtargets.data.noise.recorded import RecordedNoise
from softtargets.objectives.transitions import EstimatedTransition
from softtargets.studies.catalog import STUDY as FILE
from softtargets.studies.catalog import find, read_study
from softtargets.studies.expand import cells_of, expand, select_outputs, term_cells
from softtargets.studies.load import read_reported
from softtargets.studies.records import CellKey
from softtargets.studies.request import DataChoice
from softtargets.studies.schema import Study
from softtargets.studies.templating import expand_templates

STUDY = read_study(find("noise-benchmark"))
DRAWN = ("symmetric20", "symmetric40", "symmetric60", "symmetric80", "pair40")


def test_every_arm_is_run_under_every_noise_with_five_seeds() -> None:
    planned = expand(STUDY, "desk", select_outputs(STUDY, None))
    found = {(item.key.arm, item.key.noise, item.seed) for item in planned}
    assert {(arm, noise, seed) for arm in STUDY.arms for noise in DRAWN for seed in range(5)} <= found
    names = {item.run.objective.name for item in planned}
    assert names >= {
        *("forward", "backward", "loss_bound", "negative_smoothing", "generalized_cross_entropy"),
        *("symmetric_cross_entropy", "active_passive", "early_learning", "cores", "peer", "bootstrapping"),
        *("online_smoothing", "max_suppression", "learned_transition", "cross_entropy"),
    }


def test_a_known_transition_is_asked_for_only_where_labels_are_drawn_from_one() -> None:
    for name in (None, *STUDY.settings):
        seen = STUDY.seen_from(name)
        for scale in seen.scales:
            for item in expand(seen, scale, select_outputs(STUDY, name)):
                if item.run.objective.needs_transition() == "known":
                    assert item.key.noise in DRAWN


def test_arms_without_a_level_are_not_the_baseline() -> None:
    runs = {item.key.arm: item.run for item in expand(STUDY, "smoke", ("digits",)) if item.key.noise == "pair40"}
    assert set(runs) == set(STUDY.arms)
    assert len({run.objective.model_dump_json() for run in runs.values()}) == len(runs)
    assert len({run.changed(objective={"name": "cross_entropy"}).model_dump_json() for run in runs.values()}) == 1


def test_cifar10_is_run_when_it_is_asked_for_with_scales_of_its_own() -> None:
    assert not any(STUDY.outputs[name].setting for name in select_outputs(STUDY, None))
    outputs = select_outputs(STUDY, "cifar10")
    assert set(outputs) == {"cifar10-accuracy", "cifar10-transition"}
    planned = expand(STUDY.seen_from("cifar10"), "desk", outputs)
    assert len(planned) == 5 * 3 * 3
    limit = planned[0].run.data.limit
    assert limit is not None
    assert (limit.train, limit.validation) == (8000, 2000)
    assert STUDY.seen_from("cifar10-transition").scales == STUDY.seen_from("cifar10").scales
    assert set(STUDY.seen_from("cifar10-all").scales) == {"paper"}
    everything = expand(STUDY.seen_from("cifar10-all"), "paper", select_outputs(STUDY, "cifar10-all"))
    assert {item.key.noise for item in everything} == {
        *("symmetric20", "symmetric40", "symmetric60", "symmetric80", "asymmetric40", "worse")
    }


def test_labels_of_people_lie_beside_the_data_wherever_those_are(tmp_path: Path) -> None:
    folder = tmp_path / "cifar10"
    folder.mkdir()
    seen, outputs = STUDY.seen_from("cifar10"), select_outputs(STUDY, "cifar10")
    for data, expected in ((DataChoice(str(folder)), folder / "../cifar10n"), (None, "../cifar10n")):
        runs = [item.run for item in expand(seen, "desk", outputs, data=data) if item.key.noise == "worse"]
        noises = [run.noise for run in runs]
        assert all(isinstance(noise, RecordedNoise) and noise.file == str(expected) for noise in noises)


def test_forward_correction_says_where_its_transition_comes_from() -> None:
    needs = {arm: run.objective.needs_transition() for arm, run in _one_run_per_arm().items()}
    assert [arm for arm, need in needs.items() if need == "known"] == ["FC", "BC", "LB"]
    estimated = {arm: need.estimator for arm, need in needs.items() if isinstance(need, EstimatedTransition)}
    assert estimated == {"FE": "anchor", "FD": "dual_t", "FJ": "confident_joint"}


def _one_run_per_arm():
    return {item.key.arm: item.run for item in expand(STUDY, "smoke", ("digits",)) if item.seed == 0}


def test_claims_can_be_judged_from_the_cells_of_their_outputs() -> None:
    for claim in STUDY.claims:
        seen = STUDY.seen_from(claim.output)
        keys = set(cells_of(seen, "desk", (claim.output,)))
        for term in claim.terms:
            assert set(term_cells(seen, term, "desk")) <= keys
            assert term.metric in STUDY.outputs[claim.output].metrics
        assert sum(term.weight for term in claim.terms) == 0


def test_reported_numbers_stand_where_method_and_noise_are_theirs() -> None:
    reported = {(r.output, r.key): r for r in read_reported(find("noise-benchmark"), STUDY)}
    assert reported["cifar10-accuracy", CellKey("ELR", 0.0, "symmetric40")].mean == 0.8915
    assert reported["cifar10-accuracy", CellKey("CE", 0.0, "worse")].mean == 0.7769
    assert reported["cifar10-every-objective", CellKey("SCE", 0.0, "symmetric80")].mean == 0.6812


def _content() -> dict[str, Any]:
    path = find("noise-benchmark") / FILE
    return expand_templates(read_toml(path), path)


@pytest.mark.parametrize(
    ("place", "value", "error"),
    [
        (("outputs", "digits", "noise"), ["symetric40"], "did you mean 'symmetric40'"),
        (("outputs", "digits", "noise"), [-0.2], r"noise: a rate in \[0, 1\], or a name; got -0.2"),
        (("outputs", "cifar10-accuracy", "setting"), "cifar", "did you mean 'cifar10'"),
    ],
)
def test_a_bad_study_is_refused(place: tuple[str, str, str], value: object, error: str) -> None:
    content = _content()
    content[place[0]][place[1]][place[2]] = value
    with pytest.raises(InputError, match=error):
        Study.parse(content)


def test_a_setting_may_not_share_its_name_with_an_output() -> None:
    content = _content()
    content["settings"]["digits"] = content["settings"]["cifar10"]
    with pytest.raises(InputError, match="settings: names that differ from those of outputs; got digits"):
        Study.parse(content)
