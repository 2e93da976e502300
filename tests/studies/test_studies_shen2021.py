"""The study as it is shipped, and its quotes and numbers against the paper's text."""

import math
import re
from collections import Counter
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from torch import nn

from softtargets.objectives.cross_entropy import SmoothedCrossEntropy
from softtargets.objectives.distillation import Distillation
from softtargets.runs.spec import RunSpec
from softtargets.studies.catalog import find, read_study
from softtargets.studies.expand import PlannedRun, cells_of, expand, select_outputs, term_cells
from softtargets.studies.load import read_reported
from softtargets.studies.records import CellKey
from softtargets.studies.shen2021.logistic import SmoothedLogistic
from softtargets.train.optimizers import build_optimizer

STUDY = read_study(find("shen2021"))
REPORTED = read_reported(find("shen2021"), STUDY)
PAPER = Path(__file__).resolve().parents[3] / "shared" / "papers" / "shen2021-distillation.txt"
MAIN = ("figure3", "table1", "table10", "figure1", "figure4", "figure5", "table2", "table9")
CIFAR10 = ("table1-cifar10", "figure1-cifar10", "figure5-cifar10", "table2-cifar10")

# Networks of the setting `images`, besides ResNets.
OTHERS = [
    f"{net}{target}"
    for net in ("mobilenet", "densenet", "resnext50", "wide", "resnext101")
    for target in ("", "-smoothed")
]


def _planned(setting: str | None, scale: str = "desk") -> list[PlannedRun]:
    return expand(STUDY.seen_from(setting), scale, select_outputs(STUDY, setting))


def _first(setting: str | None, scale: str = "desk") -> dict[str, RunSpec]:
    """Return the runs of seed 0 by their arms."""
    return {item.key.arm: item.run for item in _planned(setting, scale) if item.seed == 0}


def test_every_arm_is_run_with_five_seeds_and_cifar10_when_asked_for_by_name() -> None:
    assert (select_outputs(STUDY, None), select_outputs(STUDY, "cifar10")) == (MAIN, CIFAR10)
    others = ("r18", "r34", "r50", "r101", "binary", "translator", "small-translator", "words", "sentences")
    own = {arm for arm in STUDY.arms if not arm.startswith(others)} - set(OTHERS)
    assert set(_first(None)) == own
    assert set(_first("cifar10")) == {
        *("large", "large-smoothed", "small-of-hard", "small-of-smoothed", "same-of-hard", "same-of-smoothed"),
    }
    assert len(_planned(None)) == 5 * 18
    assert len(_planned("cifar10")) == 5 * 6


def test_smoothing_is_that_of_equation_1_and_alone_tells_a_pair_apart() -> None:
    runs = _first(None)
    for name in ("large", "small", "long", "plain"):
        hard, smoothed = runs[name], runs[f"{name}-smoothed"]
        assert smoothed.objective == SmoothedCrossEntropy(smoothing=0.1, convention="others")
        assert smoothed.changed(objective=hard.objective.model_dump()) == hard
        assert hard.objective == SmoothedCrossEntropy()


@pytest.mark.parametrize("scale", ["smoke", "desk", "paper"])
def test_students_are_taught_by_the_large_network_alone_at_temperature_1(scale: str) -> None:
    runs = _first(None, scale)
    for kind, teacher in (("hard", "large"), ("smoothed", "large-smoothed")):
        for student in ("small", "same"):
            run = runs[f"{student}-of-{kind}"]
            assert run.objective == Distillation(loss="kl", weight=1.0, temperature=1.0)
            assert run.teachers == (runs[teacher],)
            assert run.seeds.initialisation + 100 == runs[teacher].seeds.initialisation
        assert runs[f"small-of-{kind}"].model == runs["small"].model
        assert runs[f"same-of-{kind}"].model == runs["large"].model != runs["small"].model


def test_table_9_mixes_labels_in_at_three_weights() -> None:
    runs = _first(None)
    for label_weight in (0.3, 0.5, 0.7):
        for kind in ("hard", "smoothed"):
            run = runs[f"labels{100 * label_weight:.0f}-{kind}"]
            assert run.objective == Distillation(weight=round(1 - label_weight, 1))
            assert run.changed(objective={"name": "distillation"}) == runs[f"small-of-{kind}"]


def test_networks_and_training_at_both_scales() -> None:
    for setting in (None, "cifar10"):
        runs = _first(setting)
        assert runs["large"].model.model_dump(exclude_none=True) == {"name": "resnet", "depth": 14, "width": 8}
        assert runs["small-of-hard"].model.model_dump(exclude_none=True) == {"name": "resnet", "depth": 8, "width": 8}
        assert {run.schedule.milestones for run in runs.values()} == {(0.4, 0.8)}
        assert len({(run.data, run.augmentation) for run in runs.values()}) == 1
        assert runs["large"].data.limit is not None
        assert (runs["large"].data.limit.train, runs["large"].data.limit.test) == (4000, None)
    desk, paper = _first(None), _first(None, "paper")
    assert (desk["long"].training.epochs, desk["small"].training.epochs) == (16, 8)
    assert (paper["long"].training.epochs, paper["small"].training.epochs) == (320, 200)
    assert paper["large"].data.name == "uoft-cs/cifar100"
    assert paper["large"].model.model_dump(exclude_none=True) == {"name": "resnet", "depth": 56, "width": 16}
    assert paper["small"].model.model_dump(exclude_none=True) == {"name": "resnet", "depth": 32, "width": 16}


def test_claims_can_be_judged_from_the_cells_of_their_outputs() -> None:
    for claim in STUDY.claims:
        seen = STUDY.seen_from(claim.output)
        for scale in seen.scales:
            keys = set(cells_of(seen.model_copy(update={"claims": ()}), scale, (claim.output,)))
            for term in claim.terms:
                assert set(term_cells(seen, term, scale)) <= keys, claim.id


def test_contrasts_weigh_out_and_both_data_sets_are_asked_the_same() -> None:
    asked = {claim.id: claim for claim in STUDY.claims}
    for claim in STUDY.claims:
        if claim.statistic == "correlation":
            assert len({term.metric for term in claim.terms}) == 2, claim.id
            continue
        for metric in {term.metric for term in claim.terms}:
            assert sum(term.weight for term in claim.terms if term.metric == metric) == 0, claim.id
        if claim.id.endswith("-cifar10") and claim.id != "erases-norm-cifar10":
            there = asked[claim.id.removesuffix("-cifar10")]
            assert claim.output == f"{there.output}-cifar10"
            for field in ("quote", "reading", "terms", "relation", "threshold", "margin"):
                assert getattr(claim, field) == getattr(there, field), claim.id
    assert [claim.id for claim in STUDY.claims if claim.not_run] == ["correlated", "preserved"]


def _number(output: str, dataset: str, model: str, arm: str, metric: str = "test.accuracy") -> float:
    (found,) = [
        row.mean
        for row in REPORTED
        if (row.output, row.dataset, row.model, row.key, row.metric)
        == (output, dataset, model, CellKey(arm, 0.0, 0.0), metric)
    ]
    return found


def test_the_papers_numbers_stand_where_they_belong() -> None:
    assert _number("table1", "ImageNet-1K", "ResNet-18", "small-smoothed", "stability.listing") == 0.3358
    assert _number("table1", "ImageNet-1K", "ResNet50+Long+CutMix", "long-smoothed", "stability.listing") == 0.2890
    assert _number("table10", "ImageNet-1K", "MobileNet v2", "plain-smoothed", "stability.inter.scalar") == 0.1726
    assert _number("table2", "ImageNet-1K", "ResNet-50", "small-of-smoothed") == 0.71816
    assert _number("table2", "CUB200-2011", "ResNet-50", "same-of-hard") == 0.80910
    assert _number("table2", "iMaterialist", "ResNet-101", "large-smoothed") == 0.67370
    assert _number("table9", "ImageNet-1K", "ResNet-50 → ResNet-18", "labels70-hard") == 0.71164
    assert {row.n for row in REPORTED if row.sd is not None} == {3}


def _in(setting: str, scale: str = "desk") -> dict[tuple[str, str | float], RunSpec]:
    """Return the runs of seed 0 of a setting by arm and data."""
    return {(item.key.arm, item.key.noise): item.run for item in _planned(setting, scale) if item.seed == 0}


@pytest.mark.parametrize("scale", ["smoke", "desk", "paper"])
def test_each_student_learns_from_the_network_that_it_is_named_after(scale: str) -> None:
    for setting in ("images", "tails", *(["imaterialist"] if scale != "desk" else [])):
        runs = _in(setting, scale)
        students = [place for place in runs if "-of-" in place[0]]
        assert students
        for arm, data in students:
            student, teacher = arm.split("-of-")
            teachers = runs[arm, data].teachers
            assert teachers is not None
            (taught_by,) = teachers
            if teacher == "fixres":
                assert (taught_by.data, taught_by.augmentation) == (runs[arm, data].data, runs[arm, data].augmentation)
            else:
                assert taught_by == runs[teacher, data]
            assert runs[arm, data].objective == Distillation(loss="kl", weight=1.0, temperature=1.0)
            if (student, data) in runs and scale != "smoke":
                assert runs[arm, data].model == runs[student, data].model


@pytest.mark.parametrize("scale", ["desk", "paper"])
def test_fixres_networks_are_fine_tuned_at_the_size_of_the_test(scale: str) -> None:
    runs = _in("images", scale)
    tuned, student = runs["r50-fixres", 0.0], runs["r50-of-fixres", 0.0]
    assert student.teachers is not None
    (teacher,) = student.teachers
    sizes = (12, 16) if scale == "desk" else (224, 288)
    for run in (tuned, student, teacher):
        start = run.init_from
        assert start is not None
        assert run.init_head == "kept"
        assert (start.model, start.objective, start.seeds) == (run.model, run.objective, run.seeds)
        assert (start.data.size, run.data.size) == sizes
        assert start.data.test_size == sizes[1]
        # all but the head and the last normalisation keep their weights
        network = run.model.changed(width=4).build((3, 16, 16), 10)
        groups = build_optimizer(run.optimizer, list(network.named_parameters())).param_groups
        norms = [name for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)]
        assert sum(len(group["params"]) for group in groups if group["lr"] > 0) == 4
        assert fnmatchcase(f"{norms[-1]}.weight", run.optimizer.groups[1].match)
    assert student.init_from is not None
    assert student.init_from.teachers == (teacher.init_from,)
    assert runs["r50-smoothed", 0.0].init_from is None


def test_eight_architectures_differ_and_smoothing_alone_tells_a_pair_apart() -> None:
    for scale in ("desk", "paper"):
        runs = {arm: run for (arm, noise), run in _in("images", scale).items() if noise in (0.0, "standard")}
        nets = ["r18", "r50", "r101", "mobilenet", "densenet", "resnext50", "wide", "resnext101"]
        assert len({runs[net].model.model_dump_json() for net in nets}) == 8
        for net in (*nets, "r50-long"):
            assert runs[f"{net}-smoothed"].changed(objective=runs[net].objective.model_dump()) == runs[net]
            assert runs[f"{net}-smoothed"].objective == SmoothedCrossEntropy(smoothing=0.1, convention="others")
        assert runs["r50-long"].model == runs["r50-cutmix"].model == runs["r50"].model
        assert runs["r50-cutmix"].training == runs["r50-long"].training
        assert runs["r50-cutmix"].objective.name == runs["r50-cutmix-smoothed"].objective.name == "cutmix"


def test_paper_scale_has_the_data_and_networks_of_the_paper() -> None:
    images, tails = _in("images", "paper"), _in("tails", "paper")
    assert {run.data.name for run in images.values()} == {"ILSVRC/imagenet-1k", "CUB_200_2011"}
    assert {run.data.name for run in tails.values()} == {"imagenet-lt", "places-lt", "inaturalist-2019"}
    assert {run.data.name for run in _in("imaterialist", "paper").values()} == {"imaterialist-product-2019"}
    assert (images["r50", 0.0].training.epochs, images["r50-long", 0.0].training.epochs) == (90, 160)
    assert images["r18-of-r50", 0.0].training.epochs == 200
    assert images["r18-of-r50", 0.0].schedule.milestones == (0.4, 0.8)
    # CUB200-2011 and iNaturalist 2019 are fine-tuned from weights trained on ImageNet, the others are not
    for run in (*images.values(), *tails.values()):
        fine_tuned = run.data.name in ("CUB_200_2011", "inaturalist-2019")
        assert run.model.trained == fine_tuned, run.data.name
    numbers = {run.data.classes for run in _in("classes-imagenet", "paper").values()}
    assert numbers == {100, 500, None}


def test_the_number_of_classes_is_all_that_differs_between_the_data_of_figure_9() -> None:
    runs = _in("classes")
    first = runs["r18", "classes-150"]
    assert {run.data.classes for run in runs.values()} == {10, 50, None}
    for (arm, _), run in runs.items():
        if arm == "r18":
            assert run.changed(data=first.data.model_dump()) == first
    output = STUDY.outputs["figure9"]
    assert output.minus == {"r18-smoothed": "r18", "r101-smoothed": "r101"}
    assert [STUDY.noises[str(noise)].position for noise in output.noise] == [10, 50, 150]


@pytest.mark.parametrize("alpha", [0.0, 0.1, 0.4])
def test_figure_3_is_equation_1_for_two_classes(alpha: float) -> None:
    curve = SmoothedLogistic.curve("logistic", alpha)
    found = dict(zip(curve.x, curve.y, strict=True))
    for f in (-10.0, 0.0, 2.5, 10.0):
        expected = (1 - alpha) * math.log1p(math.exp(-f)) + alpha * math.log1p(math.exp(f))
        assert found[f] == pytest.approx(expected, abs=1e-12)
    # a finite minimum where the probability is 1 - alpha
    if alpha:
        lowest = min(found, key=lambda f: found[f])
        assert lowest == pytest.approx(math.log((1 - alpha) / alpha), abs=0.05)


def _text() -> str:
    if not PAPER.exists():
        pytest.skip(f"the paper's text is not at {PAPER}")
    return re.sub(r"\s+", " ", PAPER.read_text(encoding="utf-8"))


def test_the_paper_says_what_is_quoted() -> None:
    text = _text()
    for claim in STUDY.claims:
        assert claim.quote in text, claim.id


def test_the_paper_prints_what_is_reported() -> None:
    text = _text()
    for row in REPORTED:
        shown = f"{row.mean:.4f}" if row.metric.startswith("stability") else f"{100 * row.mean:.3f}"
        assert (shown if row.sd is None else f"{shown}± {100 * row.sd:.3f}") in text.replace(" ±", "±"), row
    counts = Counter(row.output for row in REPORTED)
    assert counts == {
        "table1": 36,
        "table10": 30,
        "table2": 36,
        "table9": 8,
        "table1-images": 54,
        "table10-images": 30,
        "table7": 48,
        "table7-imaterialist": 24,
        "table8": 16,
        "figure6-accuracy": 4,
        "table3": 44,
        "table6": 24,
        "table4-imagenet": 24,
    }


def test_what_table_4_prints_as_the_average_gain_is_that_of_its_rows() -> None:
    found = {
        (row.key.arm, row.key.noise): row.mean
        for row in REPORTED
        if row.output == "table4-imagenet" and row.metric == "test.accuracy"
    }
    for noise, gain in (("imagenet-100", 0.880), ("imagenet-500", 0.455), ("imagenet-1000", 0.155)):
        gains = [found[f"{net}-smoothed", noise] - found[net, noise] for net in ("r18", "r101")]
        assert f"↑{gain:.3f}" in _text()
        assert 100 * sum(gains) / 2 == pytest.approx(gain, abs=6e-4)


def test_both_teachers_of_a_pair_have_the_accuracies_of_table_7() -> None:
    found = {
        (row.dataset, row.key.arm): (row.mean, row.sd)
        for row in REPORTED
        if row.output == "table7" and row.metric == "test.accuracy"
    }
    assert found["ImageNet-1K", "r50-of-r101-smoothed"] == (0.77624, None)
    assert found["CUB200-2011", "r18-of-r50-smoothed"] == (0.78382, 0.00099)
    for arm, other in (("r50", "large"), ("r18-of-r50", "small-of-hard"), ("r50-of-r50-smoothed", "same-of-smoothed")):
        for dataset in ("ImageNet-1K", "CUB200-2011"):
            assert found[dataset, arm][0] == _number("table2", dataset, "ResNet-50", other)


@pytest.mark.parametrize(("output", "metric"), [("table1", "stability.listing"), ("table10", "stability.inter.scalar")])
def test_what_is_reported_differs_by_what_the_paper_prints_beside_it(output: str, metric: str) -> None:
    text = _text()
    found = {(row.model, row.key.arm): row.mean for row in REPORTED if (row.output, row.metric) == (output, metric)}
    smoothed = {place: mean for place, mean in found.items() if place[1].endswith("-smoothed")}
    assert len(smoothed) == 8
    for (model, arm), mean in smoothed.items():
        difference = mean - found[model, arm.removesuffix("-smoothed")]
        assert f"{mean:.4f} ({difference:+.4f})" in text, model
