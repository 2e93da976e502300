"""The study as it is shipped, its quotes and numbers against the paper's text, and how diagrams are gathered."""

import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from softtargets._errors import InputError
from softtargets.measures.calibration import DIAGRAMS, reliability_of
from softtargets.objectives.distillation import Distillation
from softtargets.runs.record import read_predictions
from softtargets.runs.spec import RunSpec
from softtargets.runs.store import PREDICTIONS, RunStore
from softtargets.studies.catalog import STUDY as FILE
from softtargets.studies.catalog import find, read_study
from softtargets.studies.expand import cells_of, expand, select_outputs, term_cells
from softtargets.studies.load import REPORTED, load_study, read_reported
from softtargets.studies.outputs.evidence import Evidence
from softtargets.studies.outputs.reliability import ReliabilityOutput
from softtargets.studies.records import CellKey, CellRecord

STUDY = read_study(find("mueller2019"))
REPORTED_NUMBERS = read_reported(find("mueller2019"), STUDY)
PAPERS = Path(__file__).resolve().parents[3] / "shared" / "papers"
HARD, SMOOTHED = CellKey("CE", 0.0, 0.0), CellKey("LS", 0.05, 0.0)


def test_three_arms_are_run_with_paired_seeds_and_none_for_temperature_scaling() -> None:
    for setting, seeds in ((None, 8), ("fashion", 5)):
        seen, outputs = STUDY.seen_from(setting), select_outputs(STUDY, setting)
        planned = expand(seen, "desk", outputs)
        assert {item.key for item in planned} == {HARD, SMOOTHED, CellKey("LS", 0.1, 0.0)}
        assert len(planned) == 3 * seeds
        first = [item.run for item in planned if item.seed == 1]
        assert len({run.changed(objective={"name": "cross_entropy"}).model_dump_json() for run in first}) == 1
        assert all(run.noise is None for run in first)


def test_fashion_is_asked_for_by_name_with_data_to_fit_a_temperature_on() -> None:
    assert select_outputs(STUDY, None) == ("figure2", "table3", "figure1", "table2")
    assert select_outputs(STUDY, "fashion") == ("figure2-fashion", "table3-fashion")
    run = expand(STUDY.seen_from("fashion"), "desk", ("table3-fashion",))[0].run
    assert run.data.limit is not None
    assert (run.data.limit.train, run.data.limit.validation, run.data.limit.test) == (10_000, 2_000, None)


def test_the_paper_scale_is_that_of_a2() -> None:
    run = expand(STUDY, "paper", ("table3",))[0].run
    assert (run.model.name, run.data.name) == ("resnet", "uoft-cs/cifar100")
    assert run.model.model_dump()["depth"] == 56
    assert (run.training.steps, run.training.batch_size, run.training.clip_norm) == (64_000, 128, 1.0)
    assert (run.training.loss_factor, run.optimizer.weight_decay, run.optimizer.nesterov) == (3.0, 1e-4, True)
    assert run.schedule.milestones == (0.5, 0.75)


def _of(setting: str | None, scale: str, arm: str, level: float = 0.0) -> RunSpec:
    """Return the run of an arm at a level, of seed 1."""
    planned = expand(STUDY.seen_from(setting), scale, select_outputs(STUDY, setting))
    (found,) = (item.run for item in planned if item.seed == 1 and item.key[:2] == (arm, level))
    return found


def test_figure_1_and_table_2_are_of_the_networks_of_table_3() -> None:
    study, desk = STUDY.seen_from(None), STUDY.scales["desk"]
    assert set(cells_of(study, "desk", ("figure1", "table2"))) == {HARD, CellKey("LS", 0.1, 0.0)}
    assert (desk.classes, STUDY.scales["paper"].classes) == ((3, 8, 0), (4, 55, 30))
    assert STUDY.outputs["figure1"].splits == ("train", "test")


@pytest.mark.parametrize("scale", ["desk", "paper"])
def test_figure_5_has_the_four_lines_of_the_paper_in_its_levels(scale: str) -> None:
    study = STUDY.seen_from("distillation")
    keys = set(cells_of(study, scale, ("figure5",)))
    smoothed = (0.15, 0.3, 0.45, 0.6, 0.75)
    expected = {CellKey(arm, level, 0.0) for arm in ("teacher-ls", "student-ls", "distilled-ls") for level in smoothed}
    expected |= {CellKey(arm, 0.0, 0.0) for arm in ("teacher-ce", "student-ce")}
    expected |= {CellKey("distilled-temperature", t, 0.0) for t in (1.0, 2.0, 3.0, 4.0, 8.0, 12.0, 16.0)}
    assert keys == expected
    runs = expand(study, scale, ("figure5",))
    taught = [item.run for item in runs if item.run.teachers is not None]
    for run in taught:
        objective = run.objective
        assert isinstance(objective, Distillation)
        assert (objective.weight, objective.student_temperature, objective.scale) == (1.0, 1.0, "none")
        assert run.changed(objective={"name": "cross_entropy"}, teachers=None) in [item.run for item in runs]


def test_students_of_figure_5_learn_from_the_teachers_that_it_shows() -> None:
    hard, smoothed = _of("distillation", "desk", "teacher-ce"), _of("distillation", "desk", "teacher-ls", 0.45)
    assert hard.changed(objective={"name": "cross_entropy", "smoothing": 0.45}) == smoothed
    assert _of("distillation", "desk", "distilled-temperature", 8.0).teachers == (hard,)
    assert _of("distillation", "desk", "distilled-ls", 0.45).teachers == (smoothed,)
    student = _of("distillation", "desk", "student-ce")
    assert (student.seeds.initialisation, hard.seeds.initialisation) == (1, 101)


def test_the_paper_scale_of_distillation_is_that_of_a1_and_a2() -> None:
    teacher, student = _of("distillation", "paper", "teacher-ce"), _of("distillation", "paper", "student-ls", 0.1)
    assert (teacher.model.name, student.model.name) == ("resnet", "alexnet")
    assert (teacher.training.steps, teacher.training.clip_norm) == (64_000, 1.0)
    assert (teacher.optimizer.nesterov, teacher.schedule.milestones) == (True, (0.5, 0.75))
    assert (student.training.steps, student.training.clip_norm, student.training.batch_size) == (390_000, None, 128)
    assert (student.optimizer.momentum, student.optimizer.nesterov, student.optimizer.weight_decay) == (0.0, False, 0.0)
    (decayed,) = student.optimizer.groups
    assert (decayed.match, decayed.weight_decay) == ("hidden.*.weight", 0.04)
    assert student.schedule.milestones == pytest.approx((130 / 390, 260 / 390))
    assert (teacher.training.loss_factor, student.training.loss_factor) == (3.0, 3.0)


def test_information_is_of_teachers_whose_weights_are_kept_on_the_way() -> None:
    study = STUDY.seen_from("distillation")
    for scale, epochs in (("smoke", 2), ("desk", 6), ("paper", 13)):
        runs = [item.run for item in expand(study, scale, ("figure6",))]
        assert {run.training.snapshot_every for run in runs} == {epochs}
        assert all(run.augmentation.active for run in runs)
    assert set(cells_of(study, "desk", ("figure6",))) == {
        CellKey("teacher-ce", 0.0, 0.0),
        CellKey("teacher-ls", 0.15, 0.0),
    }


def test_claims_can_be_judged_from_the_cells_of_their_settings() -> None:
    for claim in STUDY.claims:
        setting = STUDY.outputs[claim.output].setting
        seen = STUDY.seen_from(setting)
        shown = [name for name, output in STUDY.outputs.items() if output.setting == setting]
        metrics = {metric for name in shown for metric in STUDY.outputs[name].metrics}
        study = seen.model_copy(update={"claims": ()})
        for term in claim.terms:
            for scale in seen.scales:
                assert set(term_cells(seen, term, scale)) <= set(cells_of(study, scale, shown)), claim.id
            assert term.metric in metrics, claim.id


def test_cifar10_has_a_residual_network_as_teacher_and_alexnet_as_student() -> None:
    for scale in ("desk", "paper"):
        teacher, student = _of("cifar10", scale, "teacher-ce"), _of("cifar10", scale, "student-ls", 0.45)
        assert (teacher.model.name, student.model.name) == ("resnet", "alexnet")
        assert teacher.data == student.data
        assert teacher.data.name == "uoft-cs/cifar10"
        assert _of("cifar10", scale, "distilled-ls", 0.45).teachers == (_of("cifar10", scale, "teacher-ls", 0.45),)
        assert _of("cifar10", scale, "LS", 0.1).model == teacher.model
    # at paper scale the recipes are those of A.1 and A.2, as in the setting `distillation`
    for arm in ("teacher-ce", "student-ce"):
        own, other = _of("cifar10", "paper", arm), _of("distillation", "paper", arm)
        assert own.changed(data=other.data.model_dump()) == other
    network, teacher = _of("cifar10", "paper", "CE"), _of("cifar10", "paper", "teacher-ce")
    training = {**teacher.training.model_dump(), "snapshot_every": None}
    assert teacher.changed(training=training, seeds=network.seeds.model_dump()) == network
    assert STUDY.outputs["figure5-cifar10"].spread == "range"


def test_claims_on_cifar10_are_those_of_the_other_settings() -> None:
    claims = {claim.id: claim for claim in STUDY.claims}
    there = [claim for claim in STUDY.claims if claim.id.endswith("-cifar10")]
    assert len(there) == 23
    for claim in there:
        here = claims[claim.id.removesuffix("-cifar10")]
        assert claim.output == f"{here.output}-cifar10"
        for field in ("quote", "reading", "terms", "relation", "threshold", "margin", "expected"):
            assert getattr(claim, field) == getattr(here, field), claim.id


def test_inception_and_imagenet_are_specified_at_paper_scale() -> None:
    run = _of("imagenet", "paper", "LS", 0.1)
    assert run.model.model_dump(exclude_none=True) == {"name": "timm", "architecture": "inception_v4"}
    assert (run.training.batch_size, run.training.average_decay) == (4096, 0.9999)
    assert (run.optimizer.momentum, run.optimizer.weight_decay) == (0.9, 8e-5)
    assert (run.data.size, run.data.validation_as_test) == (299, True)
    found = {(r.output, r.key, r.metric): r.mean for r in REPORTED_NUMBERS if r.output.endswith("-imagenet")}
    assert found["table3-imagenet", HARD, "test.ece15"] == 0.071
    assert found["table3-imagenet", CellKey("LS", 0.1, 0.0), "test.ece15"] == 0.035
    assert found["table2-imagenet", HARD, "test.accuracy"] == 0.809


def test_both_data_sets_are_asked_the_same() -> None:
    def asked(claims) -> list:
        return [(c.quote, c.reading, c.terms, c.relation, c.threshold, c.margin) for c in claims if c.terms]

    here = [claim for claim in STUDY.claims if claim.output in ("figure2", "table3")]
    there = [claim for claim in STUDY.claims if STUDY.outputs[claim.output].setting == "fashion"]
    assert asked(here) == asked(there)
    assert not any(claim.not_run for claim in here)


@pytest.mark.parametrize("output", ["table3", "table3-fashion"])
def test_table_3_is_the_papers(output: str) -> None:
    found = {(r.dataset, r.key, r.metric): r.mean for r in REPORTED_NUMBERS if r.output == output}
    for dataset, hard, scaled, temperature, smoothed, level in (
        ("CIFAR-100", 0.150, 0.021, 1.9, 0.024, 0.05),
        ("ImageNet", 0.071, 0.022, 1.4, 0.035, 0.1),
        ("EN-DE", 0.056, 0.018, 1.13, 0.019, 0.1),
    ):
        assert found[dataset, HARD, "test.ece15"] == hard
        assert found[dataset, HARD, "test.ece15.scaled"] == scaled
        assert found[dataset, HARD, "temperature"] == temperature
        assert found[dataset, CellKey("LS", level, 0.0), "test.ece15"] == smoothed
    assert found["CIFAR-10", HARD, "test.ece15"] == 0.0435
    assert found["CIFAR-10", SMOOTHED, "test.ece15.scaled"] == 0.0167
    assert len(found) == 16


def test_table_2_is_the_papers_and_its_first_row_that_of_the_students_network_too() -> None:
    smoothed = CellKey("LS", 0.1, 0.0)
    found = {(r.dataset, r.key): (r.mean, r.sd) for r in REPORTED_NUMBERS if r.output == "table2"}
    assert found == {
        ("CIFAR-10", HARD): (0.868, 0.002),
        ("CIFAR-10", smoothed): (0.867, 0.003),
        ("CIFAR-100", HARD): (0.721, 0.003),
        ("CIFAR-100", smoothed): (0.727, 0.003),
        ("ImageNet", HARD): (0.809, None),
        ("ImageNet", smoothed): (0.809, None),
    }
    students = {r.key: (r.mean, r.sd) for r in REPORTED_NUMBERS if r.output == "table2-student"}
    assert students == {
        CellKey("student-ce", 0.0, 0.0): (0.868, 0.002),
        CellKey("student-ls", 0.1, 0.0): (0.867, 0.003),
    }


def test_the_paper_says_what_is_quoted_and_prints_what_is_reported() -> None:
    path = PAPERS / "mueller2019-when-does-it-help.md"
    if not path.exists():
        pytest.skip(f"the paper's text is not at {path}")
    # formulas in the signs that quotes have
    text = re.sub(
        r"\$([^$]*)\$", lambda found: found[1].replace("\\alpha", "α").replace("\\log", "log"), path.read_text("utf-8")
    )
    text = re.sub(r"\s+", " ", text)
    for claim in STUDY.claims:
        assert all(part in text for part in claim.quote.split(" … ")), claim.id
    assert "0.150 | 0.021 / 1.9 | 0.024 / 0.05" in text
    assert "0.071 | 0.022 / 1.4 | 0.035 / 0.1" in text
    assert "0.056 | 0.018 / 1.13 | 0.019 / 0.1" in text
    assert "86.8 \\pm 0.2 | 86.7 \\pm 0.3" in text
    assert "72.1 \\pm 0.3 | 72.7 \\pm 0.3" in text
    assert "80.9 | 80.9" in text


def _predict(folder: Path, seed: int, *, all_right: bool = False) -> None:
    """Write predictions of three classes whose validation labels are the likeliest classes, all or most of the time."""
    draw = torch.Generator().manual_seed(seed)
    made = {}
    for split, n in (("validation", 60), ("test", 90)):
        made[f"{split}.logits"] = torch.randn(n, 3, generator=draw)
        guess = made[f"{split}.logits"] + (0.0 if all_right else 1.5) * torch.randn(n, 3, generator=draw)
        made[f"{split}.labels"] = guess.argmax(1)
        made[f"{split}.observed"] = made[f"{split}.labels"].clone()
    folder.mkdir()
    save_file(made, folder / PREDICTIONS)


def test_diagrams_are_summed_over_the_runs_that_have_them(tmp_path: Path) -> None:
    cells = [CellRecord(HARD, seed, f"run{seed}", "complete") for seed in range(3)]
    cells.append(CellRecord(HARD, 3, "run3", "failed", reason="diverged"))
    for seed in range(3):
        _predict(tmp_path / f"run{seed}", seed, all_right=seed == 1)
    store = RunStore(tmp_path)
    found = ReliabilityOutput.gather(STUDY.outputs["figure2"], Evidence(STUDY, "desk", cells, store, ()))
    diagrams = {(diagram.key, diagram.metric): diagram for diagram in found.diagrams}
    # of smoothing nothing was trained
    assert {key for key, _ in diagrams} == {HARD}
    for metric, runs in (("test.ece15", (0, 1, 2)), ("test.ece15.scaled", (0, 2))):
        diagram = diagrams[HARD, metric]
        assert (diagram.runs, len(diagram.edges), sum(diagram.count)) == (len(runs), 16, 90 * len(runs))
        bins = [reliability_of(read_predictions(store.path(f"run{seed}")), metric) for seed in runs]
        for i in range(15):
            here = [(int(b.count[i]), int(b.correct[i]), float(b.confidence[i])) for b in bins if b is not None]
            count, correct, confidence = (sum(column) for column in zip(*here, strict=True))
            assert (diagram.count[i], diagram.correct[i]) == (count, correct)
            assert diagram.confidence[i] == pytest.approx(confidence)


def test_a_diagram_is_of_a_calibration_error(tmp_path: Path) -> None:
    folder = shutil.copytree(find("mueller2019"), tmp_path / "copy")
    text = (folder / FILE).read_text(encoding="utf-8")
    (folder / FILE).write_text(
        text.replace('"test.ece15", "test.ece15.scaled"]\nrows', '"test.ece15", "test.nll"]\nrows')
    )
    with pytest.raises(InputError, match=r"outputs.figure2.*: metric of a reliability.*test.ece15"):
        load_study(folder)
    assert set(STUDY.outputs["figure2"].metrics) <= set(DIAGRAMS)


def test_a_temperature_is_reported_as_a_factor_and_in_no_other_unit(tmp_path: Path) -> None:
    folder = find("mueller2019")
    lines = (folder / REPORTED).read_text(encoding="utf-8").splitlines()
    (tmp_path / REPORTED).write_text("\n".join(lines[:4]).replace("factor", "kelvin"), encoding="utf-8")
    with pytest.raises(InputError, match=r"row 2: numbers, and a unit of percent, fraction or factor; got 'kelvin'"):
        read_reported(tmp_path, STUDY)
