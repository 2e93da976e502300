"""The study of few labels as it is shipped: its plan, its claims, its data, and a run of it."""

import json
from pathlib import Path

import pytest

from softtargets.data import load
from softtargets.runs.spec import RunSpec
from softtargets.studies.catalog import find, read_study
from softtargets.studies.expand import cells_of, expand, select_outputs, term_cells
from softtargets.studies.job import run_study

STUDY = read_study(find("semi-supervised"))
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
OUTPUTS = select_outputs(STUDY, None)


def _first(scale: str, **options) -> dict[tuple[str, str], RunSpec]:
    """Return the runs of seed 0 by arm and data."""
    planned = expand(STUDY, scale, OUTPUTS, **options)
    return {(item.key.arm, str(item.key.noise)): item.run for item in planned if item.seed == 0}


@pytest.mark.parametrize("scale", ["smoke", "desk"])
def test_arms_differ_in_the_method_and_in_averaging_alone(scale) -> None:
    runs = _first(scale)
    assert len(runs) == 7 * 6
    for (arm, data), run in runs.items():
        plain = runs["supervised", data]
        averaged = arm in ("average", "teacher")
        assert (run.training.average_decay is not None) == averaged
        same = run.training.changed(average_decay=None, average_ramp=None)
        assert run.changed(objective=plain.objective.model_dump(), training=same) == plain
    for data in {data for _, data in runs}:
        assert runs["average", data].objective == runs["supervised", data].objective
        assert runs["average", data].training == runs["teacher", data].training


def test_the_weight_of_the_mean_teacher_is_that_of_oliver_et_al_for_ten_classes() -> None:
    """8 for a mean over 10 classes; for 150 classes as much for the sum over them."""
    runs = _first("desk")
    for data, classes in (("fashion-40", 10), ("clinc-3", 150)):
        assert runs["teacher", data].objective.model_dump()["weight"] == pytest.approx(0.8 * classes)


def test_claims_can_be_judged_from_the_cells_of_their_outputs() -> None:
    assert sum(claim.primary for claim in STUDY.claims) == 5
    for claim in STUDY.claims:
        keys = set(cells_of(STUDY.model_copy(update={"claims": ()}), "desk", (claim.output,)))
        for term in claim.terms:
            assert set(term_cells(STUDY, term, "desk")) <= keys, claim.id
            assert term.metric in STUDY.outputs[claim.output].metrics, claim.id
        assert sum(term.weight for term in claim.terms) == 0, claim.id


@pytest.mark.parametrize(("name", "counts", "classes"), [("fashion", (40, 100, 400), 10), ("clinc", (3, 10, 30), 150)])
def test_labels_are_hidden_in_the_training_split_alone(name, counts, classes) -> None:
    places = {"zalando-datasets/fashion_mnist": str(SHARED / "fashion-mnist"), "clinc150": str(SHARED / "clinc150")}
    if not all(Path(place).exists() for place in places.values()):
        pytest.skip("needs fashion-mnist and clinc150 in ../shared/data beside the repository")
    runs = _first("desk", places=places)
    known: list[set[int]] = []
    for count in counts:
        data = load(runs["supervised", f"{name}-{count}"].data)
        assert data.class_counts["train"] == [count] * classes
        assert data.unlabelled_counts["hidden"] == len(data.splits["train"]) - count * classes
        assert data.labelled is not None
        for split in ("validation", "test"):
            assert bool(data.labelled[data.splits[split]].all())
        known.append(set(data.labelled_train.tolist()))
    assert known[0] < known[1] < known[2]


def test_a_run_has_the_shares_of_pseudo_labels_of_every_method(tmp_path) -> None:
    outcome = run_study(
        "semi-supervised",
        "pseudo-labels",
        workers=1,
        scale="smoke",
        runs=tmp_path / "runs",
        reports=tmp_path / "reports",
    )
    assert (outcome.trained, outcome.failed) == (5 * 6 * 2, 0)
    content = json.loads((outcome.page.parent / "results.json").read_text())
    for cell in content["cells"]:
        for run in cell["runs"]:
            assert 0 <= run["metrics"]["train.pseudo_labels"] <= 1
    teachers = [run for cell in content["cells"] if cell["arm"] == "teacher" for run in cell["runs"]]
    assert {run["metrics"]["train.pseudo_labels"] for run in teachers} == {1.0}
    assert all(run["metrics"]["train.pseudo_label_accuracy"] > 0.05 for run in teachers)
