"""The study as it is shipped, its quotes and numbers against the paper's text, and how diagrams are gathered."""

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from softtargets._errors import InputError
from softtargets.runs.measures import DIAGRAMS, reliability_of
from softtargets.runs.record import read_predictions
from softtargets.runs.store import PREDICTIONS, RunStore
from softtargets.studies import gather
from softtargets.studies.catalog import REPORTED, find, read_reported, read_study
from softtargets.studies.catalog import STUDY as FILE
from softtargets.studies.expand import cells_of, expand, select_outputs, term_cells
from softtargets.studies.results import CellKey, CellRecord

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
    assert select_outputs(STUDY, None) == ("figure2", "table3")
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


def test_claims_can_be_judged_from_the_cells_of_their_outputs() -> None:
    for claim in STUDY.claims:
        seen = STUDY.seen_from(claim.output)
        keys = set(cells_of(seen, "desk", (claim.output,)))
        for term in claim.terms:
            assert set(term_cells(seen, term, "desk")) <= keys


def test_both_data_sets_are_asked_the_same() -> None:
    def asked(claims) -> list:
        return [(c.quote, c.reading, c.terms, c.relation, c.threshold, c.margin) for c in claims if c.terms]

    here = [claim for claim in STUDY.claims if STUDY.outputs[claim.output].setting is None]
    there = [claim for claim in STUDY.claims if STUDY.outputs[claim.output].setting == "fashion"]
    assert asked(here) == asked(there)
    assert [claim.id for claim in here if claim.not_run] == [
        *("translation-calibrated", "translation-temperature", "translation-nll"),
    ]


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


def test_the_paper_says_what_is_quoted_and_prints_what_is_reported() -> None:
    path = PAPERS / "mueller2019-when-does-it-help.md"
    if not path.exists():
        pytest.skip(f"the paper's text is not at {path}")
    text = re.sub(r"\s+", " ", path.read_text(encoding="utf-8")).replace("$\\alpha = ", "α = ").replace("0.1$", "0.1")
    for claim in STUDY.claims:
        assert claim.quote in text, claim.id
    assert "0.150 | 0.021 / 1.9 | 0.024 / 0.05" in text
    assert "0.071 | 0.022 / 1.4 | 0.035 / 0.1" in text
    assert "0.056 | 0.018 / 1.13 | 0.019 / 0.1" in text


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
    for metric, runs in (("test.ece15", (0, 1, 2)), ("test.ece15.scaled", (0, 2))):
        diagram = gather._diagram(HARD, metric, cells, store)
        assert diagram is not None
        assert (diagram.runs, len(diagram.edges), sum(diagram.count)) == (len(runs), 16, 90 * len(runs))
        bins = [reliability_of(read_predictions(store.path(f"run{seed}")), metric) for seed in runs]
        for i in range(15):
            here = [(int(b.count[i]), int(b.correct[i]), float(b.confidence[i])) for b in bins if b is not None]
            count, correct, confidence = (sum(column) for column in zip(*here, strict=True))
            assert (diagram.count[i], diagram.correct[i]) == (count, correct)
            assert diagram.confidence[i] == pytest.approx(confidence)
    assert gather._diagram(SMOOTHED, "test.ece15", cells, store) is None


def test_a_diagram_is_of_a_calibration_error(tmp_path: Path) -> None:
    folder = find("mueller2019")
    text = (folder / FILE).read_text(encoding="utf-8")
    (tmp_path / FILE).write_text(
        text.replace('"test.ece15", "test.ece15.scaled"]\nrows', '"test.ece15", "test.nll"]\nrows')
    )
    with pytest.raises(InputError, match=r"outputs.figure2: metric of a reliability.*test.ece15"):
        read_study(tmp_path)
    assert set(STUDY.outputs["figure2"].metrics) <= set(DIAGRAMS)


def test_a_temperature_is_reported_as_a_factor_and_in_no_other_unit(tmp_path: Path) -> None:
    folder = find("mueller2019")
    lines = (folder / REPORTED).read_text(encoding="utf-8").splitlines()
    (tmp_path / REPORTED).write_text("\n".join(lines[:4]).replace("factor", "kelvin"), encoding="utf-8")
    with pytest.raises(InputError, match=r"row 2: numbers, and a unit of percent, fraction or factor; got 'kelvin'"):
        read_reported(tmp_path, STUDY)
