"""The study as it is shipped: its grid, its reported numbers against the paper's text, its exact curves."""

import math
import re
from pathlib import Path

import pytest

from softtargets._errors import InputError
from softtargets.data.noise.class_conditional import SymmetricNoise
from softtargets.measures import MEASURES
from softtargets.studies.catalog import find, read_study, shipped
from softtargets.studies.expand import cells_of, expand, select_outputs, term_cells
from softtargets.studies.extension import load_extension
from softtargets.studies.judge import judge
from softtargets.studies.load import load_study, read_reported
from softtargets.studies.lukasik2020.curves import LossCurves
from softtargets.studies.records import CellKey
from softtargets.studies.request import DataChoice
from softtargets.studies.schema import Output

STUDY = read_study(find("lukasik2020"))
REPORTED = read_reported(find("lukasik2020"), STUDY)
EXTENSION = load_extension(find("lukasik2020"))
DISTILLATION = STUDY.seen_from("distillation")
PAPERS = Path(__file__).resolve().parents[4] / "shared" / "papers"


def test_every_study_that_ships_can_be_read_and_expanded() -> None:
    assert "lukasik2020" in shipped()
    for name, folder in shipped().items():
        study = load_study(folder).study
        assert study.name == name
        assert (folder / "README.md").exists()
        for setting in (None, *study.settings):
            seen, outputs = study.seen_from(setting), select_outputs(study, setting)
            for scale in seen.scales:
                assert expand(seen, scale, outputs)


@pytest.mark.parametrize("scale", ["smoke", "desk", "paper"])
def test_scales_have_the_seeds_and_levels_that_the_house_asks_for(scale) -> None:
    settings = STUDY.scales[scale]
    assert settings.seeds >= (2 if scale == "smoke" else 5)
    assert len(settings.levels["all"]) >= 3


def test_the_desk_grid_is_the_papers() -> None:
    keys = set(cells_of(STUDY, "desk", select_outputs(STUDY, None)))
    levels = (0.1, 0.2, 0.4, 0.6, 0.8)
    expected = {CellKey(arm, level, 0.2) for arm in ("LS", "FC", "BC") for level in levels}
    expected |= {CellKey("CE", 0.0, noise) for noise in (0.2, 0.4, 0.6)}
    expected |= {CellKey("LS", level, noise) for level in levels[1:] for noise in (0.4, 0.6)}
    assert keys == expected


def test_arms_of_a_seed_differ_in_the_method_alone() -> None:
    runs = [item for item in expand(STUDY, "desk", ("figure2",)) if item.seed == 3]
    assert len({run.run.changed(objective={"name": "cross_entropy"}).model_dump_json() for run in runs}) == 1
    assert len({run.run.objective.model_dump_json() for run in runs}) == len(runs) == 16


def test_seeds_change_every_stream_and_the_split_stays() -> None:
    one, two = (next(i for i in expand(STUDY, "desk", ("figure2",)) if i.seed == seed).run for seed in (0, 1))
    assert one.seeds.model_dump().keys() == two.seeds.model_dump().keys()
    assert all(getattr(one.seeds, name) != getattr(two.seeds, name) for name in type(one.seeds).model_fields)
    assert one.data == two.data


def test_alpha_is_the_inclusive_rate_and_noise_the_exclusive_one() -> None:
    run = next(i for i in expand(STUDY, "desk", ("figure2",)) if i.key == CellKey("FC", 0.4, 0.2)).run
    assert (run.objective.noise_rate, run.objective.inclusive) == (0.4, True)  # pyright: ignore
    assert run.noise == SymmetricNoise(rate=0.2, inclusive=False)


def test_the_paper_scale_is_muellers_recipe() -> None:
    run = expand(STUDY, "paper", ("table4",))[0].run
    assert run.model.model_dump(exclude_none=True) == {"name": "resnet", "depth": 32, "width": 16}
    assert (run.training.steps, run.training.batch_size, run.training.loss_factor) == (64_000, 128, 3.0)
    assert (run.training.clip_norm, run.optimizer.weight_decay, run.optimizer.nesterov) == (1.0, 1e-4, True)
    assert run.schedule.milestones == (0.5, 0.75)
    assert run.augmentation.flip


def test_data_of_the_users_replace_the_studys_and_keep_its_limits() -> None:
    run = expand(STUDY, "smoke", ("figure2",), data=DataChoice("my.csv", "y"))[0].run
    assert (run.data.name, run.data.label) == ("my.csv", "y")
    assert run.data.limit is not None
    assert run.data.limit.train == 400


def test_an_unknown_output_names_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'figure2'"):
        select_outputs(STUDY, "figur2")


def test_distillation_has_the_recipe_of_the_other_outputs() -> None:
    for scale, settings in DISTILLATION.scales.items():
        assert settings.run == STUDY.scales[scale].run
        assert settings.seeds == STUDY.scales[scale].seeds
    for scale in ("desk", "paper"):
        assert DISTILLATION.scales[scale].levels["all"] == STUDY.scales[scale].levels["all"]
        assert DISTILLATION.scales[scale].levels["high"] == STUDY.scales[scale].levels["large"]


def test_students_are_taught_by_the_networks_of_figure_2() -> None:
    networks = {i.key: i.run for i in expand(STUDY, "desk", ("figure2",)) if i.seed == 1}
    students = {i.key: i.run for i in expand(DISTILLATION, "desk", ("table6", "figure6")) if i.seed == 1}
    for arm, teacher in (
        ("KD", CellKey("CE", 0.0, 0.2)),
        ("KD-LS-teacher", CellKey("LS", 0.1, 0.2)),
        ("KD-LS-student", CellKey("CE", 0.0, 0.2)),
        ("KD-FC-teacher", CellKey("FC", 0.1, 0.2)),
        ("KD-FC-student", CellKey("CE", 0.0, 0.2)),
    ):
        student = students[CellKey(arm, 0.0, 0.2)]
        assert student.teachers == (networks[teacher],)
        assert student.objective.temperature == 2.0  # pyright: ignore
        assert student.noise == networks[teacher].noise
        assert student.seeds.noise == networks[teacher].seeds.noise == 1
        assert student.seeds.initialisation == networks[teacher].seeds.initialisation + 100
    for level in (0.1, 0.2, 0.4, 0.6, 0.8):
        student = students[CellKey("smoothed-teacher", level, 0.2)]
        assert student.teachers == (networks[CellKey("LS", level, 0.2)],)
        assert student.objective.temperature == 1.0  # pyright: ignore
    assert students[CellKey("plain-teacher", 0.0, 0.2)].teachers == (networks[CellKey("CE", 0.0, 0.2)],)
    assert len(students) == 5 + 6


def test_what_is_done_on_the_student_is_at_alpha() -> None:
    students = {i.key.arm: i.run.objective for i in expand(DISTILLATION, "desk", ("table6",)) if i.seed == 0}
    assert students["KD-LS-student"].smoothing == 0.1  # pyright: ignore
    transition = students["KD-FC-student"].transition  # pyright: ignore
    assert (transition.rate, transition.inclusive) == (0.1, True)  # pyright: ignore
    plain = students["KD"].model_dump()
    assert students["KD-LS-student"].model_dump() == {**plain, "smoothing": 0.1}
    assert students["KD-FC-student"].model_dump() == {**plain, "transition": transition.model_dump()}  # pyright: ignore


def test_figure_6_begins_with_the_student_of_a_plain_teacher() -> None:
    keys = cells_of(DISTILLATION, "desk", ("figure6",))
    assert keys[0] == CellKey("plain-teacher", 0.0, 0.2)
    assert [key.level for key in keys if key.arm == "smoothed-teacher"] == [0.1, 0.2, 0.4, 0.6, 0.8]


def test_cifar10_has_residual_networks_of_two_depths_and_the_grid_of_the_paper() -> None:
    study = STUDY.seen_from("cifar10")
    keys = set(cells_of(study, "desk", ("figure2-cifar10", "table3-cifar10", "table4-cifar10", "table5-cifar10")))
    assert keys == set(cells_of(STUDY, "desk", ("figure2", "table3", "table4", "table5")))
    for scale, depths in (("desk", (8, 14)), ("paper", (32, 56))):
        runs = {item.key: item.run for item in expand(study, scale, select_outputs(STUDY, "cifar10")) if item.seed == 0}
        plain, deep = runs[CellKey("LS", 0.2, 0.2)], runs[CellKey("LS-deep", 0.2, 0.2)]
        assert [run.model.model_dump()["depth"] for run in (plain, deep)] == list(depths)
        assert plain.changed(model=deep.model.model_dump()) == deep
        assert plain.data.name == "uoft-cs/cifar10"
        assert study.scales[scale].seeds == 8  # pyright: ignore[reportArgumentType]
        for arm in ("FC", "BC", "FC-deep", "BC-deep"):
            estimated = runs[CellKey(f"{arm}-estimated", 0.0, 0.2)]
            baseline = runs[CellKey("CE-deep" if arm.endswith("deep") else "CE", 0.0, 0.2)]
            # the network whose predictions T is estimated from is the baseline, which is trained once
            assert estimated.pretraining() == baseline


def test_table_2_is_specified_with_the_papers_network_and_optimiser() -> None:
    runs = [item.run for item in expand(STUDY.seen_from("imagenet"), "paper", ("table2",)) if item.seed == 0]
    assert len(runs) == 1 + 2 * 4
    for run in runs:
        assert (run.model.name, run.model.model_dump()["depth"], run.optimizer.name) == ("resnet_v2", 50, "lars")
        assert run.data.validation_as_test
        assert run.noise == SymmetricNoise(rate=0.2, inclusive=False)


def test_claims_on_cifar10_are_those_on_digits() -> None:
    claims = {claim.id: claim for claim in STUDY.claims}
    there = [claim for claim in STUDY.claims if claim.id.endswith("-cifar10")]
    on_digits = [claim for claim in STUDY.claims_of(None) if claim.terms]
    on_digits += [claim for claim in STUDY.claims_of("distillation") if claim.output in ("table6", "figure6")]
    assert len(there) == 32 + 11
    assert {claim.id for claim in there} == {f"{claim.id}-cifar10" for claim in on_digits}
    for claim in there:
        here = claims[claim.id.removesuffix("-cifar10")]
        assert claim.output == f"{here.output}-cifar10"
        for field in ("quote", "reading", "terms", "relation", "threshold", "margin", "primary", "expected"):
            assert getattr(claim, field) == getattr(here, field), claim.id


def test_every_claim_can_be_judged_from_cells_that_are_run() -> None:
    for claim in STUDY.claims:
        seen = STUDY.seen_from(claim.output)
        for scale in seen.scales:
            keys = set(cells_of(seen, scale, (claim.output,)))
            for term in claim.terms:
                cells = term_cells(seen, term, scale)
                assert cells
                assert keys >= set(cells)
                assert term.metric in MEASURES


def test_contrasts_compare_like_with_like() -> None:
    """The weights of a claim sum to 0, metric by metric where it compares one metric, so no constant decides it."""
    for claim in STUDY.claims:
        if claim.terms and len({term.metric for term in claim.terms}) == 1:
            assert math.isclose(sum(term.weight for term in claim.terms), 0.0), claim.id


def test_quotes_and_reported_numbers_stand_in_the_papers_text() -> None:
    path = PAPERS / "lukasik2020-label-noise.txt"
    if not path.exists():
        pytest.skip("the paper's text is not beside the project")
    text = " ".join(path.read_text().split())
    squeezed = re.sub(r"\W", "", text)
    for claim in STUDY.claims:
        for part in claim.quote.split("…"):
            assert re.sub(r"\W", "", part) in squeezed, claim.quote
    for number in REPORTED:
        percent = MEASURES[number.metric].unit == "percent"
        printed = f"{100 * number.mean:.2f}" if percent else f"{number.mean:.3f}"
        printed += f"±{100 * number.sd:.2f}" if number.sd is not None else ""
        assert re.search(rf"(?<![\d.]){re.escape(printed)}(?!\d)", text), number


def test_reported_numbers_belong_to_cells_of_their_outputs() -> None:
    assert len(REPORTED) == 9 + 2 * (10 + 12 + 7) + 20 + 10
    for number in REPORTED:
        output = STUDY.outputs[number.output]
        assert number.metric in output.metrics
        assert number.key.noise in output.noise
        assert number.dataset


def test_a_bad_reported_file_names_its_row(tmp_path) -> None:
    header, first, *_ = (find("lukasik2020") / "reported.csv").read_text().splitlines()
    (tmp_path / "reported.csv").write_text(f"{header}\n{first}\n{first.replace('70.86', 'x')}\n")
    with pytest.raises(InputError, match=r"row 1: .*'x'"):
        read_reported(tmp_path, STUDY)


def test_figure1_by_hand() -> None:
    """At score f: CE log(1+e^-f); LS adds alpha f / 2; BC divides by 1 - alpha; FC is bounded by -log(alpha / 2)."""
    found = [LossCurves.curve(arm, rate) for arm in LossCurves.arms for rate in (0.0, 0.1)]
    curves = {(curve.arm, curve.noise): dict(zip(curve.x, curve.y, strict=True)) for curve in found}
    for arm in ("LS", "FC", "BC"):
        assert curves[arm, 0.0][0.0] == pytest.approx(math.log(2), abs=1e-12)
    alpha, f = 0.2, 4.0
    hard, flipped = math.log1p(math.exp(-f)), math.log1p(math.exp(f))
    assert curves["LS", 0.1][f] == pytest.approx((1 - alpha / 2) * hard + alpha / 2 * flipped, abs=1e-12)
    assert curves["BC", 0.1][f] == pytest.approx((0.9 * hard - 0.1 * flipped) / 0.8, abs=1e-12)
    p = 1 / (1 + math.exp(-f))
    assert curves["FC", 0.1][f] == pytest.approx(-math.log(0.9 * p + 0.1 * (1 - p)), abs=1e-12)
    assert min(curves["BC", 0.1].values()) < 0 < min(curves["LS", 0.1].values())
    assert max(curves["FC", 0.1].values()) < -math.log(0.1)


@pytest.mark.parametrize(
    ("some", "error"),
    [
        ({"noise": ("symmetric20",)}, r"outputs.f.noise: noise rates, for curves; got 'symmetric20'"),
        ({"arms": ("CE",)}, r"outputs.f.arms: arms with curves: LS, BC, FC; got 'CE'"),
    ],
)
def test_curves_are_of_rates_and_of_arms_that_have_some(some, error) -> None:
    with pytest.raises(InputError, match=error):
        LossCurves.check("outputs.f", Output(title="t", caption="c", kind="curves", **some), STUDY)


def test_table_6_is_the_papers() -> None:
    found = {(r.dataset, r.model, r.key.arm): r.mean for r in REPORTED if r.output == "table6"}
    assert found["CIFAR-100", "ResNet-32", "KD-FC-teacher"] == 0.6665
    assert found["CIFAR-100", "ResNet-56", "KD-LS-student"] == 0.6450
    assert found["CIFAR-10", "ResNet-32", "KD-LS-teacher"] == 0.8695
    assert found["CIFAR-10", "ResNet-56", "KD"] == 0.7798
    assert len(found) == 20


def test_what_is_exact_is_decided_without_a_run() -> None:
    verdicts = {v.claim.id: v for v in judge(STUDY, "desk", ("figure5",), (), exact=EXTENSION.exact)}
    assert {name: verdict.name for name, verdict in verdicts.items()} == {
        "noise-moves-separator": "reproduced",
        "ls-returns-gradually": "reproduced",
        "ls-returns-wholly": "contradicted",
        "l2-weights": "contradicted",
        "l2-both": "reproduced",
        "theorem-1-unique": "contradicted",
    }
    assert verdicts["noise-moves-separator"].estimate == pytest.approx(-0.6027, abs=5e-5)
    assert verdicts["ls-returns-wholly"].estimate == pytest.approx(-0.0748, abs=5e-5)
