"""From finished runs to numbers and figures: what is analysed, what is shown, and what one bad run may cost."""

import copy
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from training import train

from softtargets.data import fingerprint, load
from softtargets.data.spec import DataSpec
from softtargets.measures import MEASURES, TRACES
from softtargets.measures import subject as measured_subject
from softtargets.runs.record import read_history, read_predictions
from softtargets.runs.store import MODEL, RunStore
from softtargets.runs.workers import work_on
from softtargets.studies import measure
from softtargets.studies.expand import expand
from softtargets.studies.extension import Extension
from softtargets.studies.job import conclude
from softtargets.studies.load import LoadedStudy
from softtargets.studies.outputs import classes, evidence, projection
from softtargets.studies.plan import StudyPlan
from softtargets.studies.records import CellKey, DataSummary
from softtargets.studies.request import StudyRequest
from softtargets.studies.results import StudyResults
from softtargets.studies.schema import Study
from softtargets.train.execute import resolve
from softtargets.train.progress import Progress

# without the cross entropy with a teacher, which is defined for students only, transfer, for runs that leave classes
# out, retrieval, for texts, and those of networks that write tokens
OTHERS = (None, "cross_entropy", "transfer", "retrieval", "tokens", "bleu", "validation bleu", "temperatures")
OF_NETWORK = {name: one for name, one in MEASURES.items() if one.group not in OTHERS}
# nor pseudo-labels and scores against votes, which are of runs with unlabelled rows and with votes
OF_EPOCHS = [
    name
    for name, one in TRACES.items()
    if (one.group is None or one.group not in OTHERS) and not name.startswith(("pseudo_label", "validation_votes"))
]
STUDY = {
    "schema_version": 1,
    "name": "small",
    "title": "",
    "question": "",
    "paper": {"authors": "", "title": "", "year": 2026, "venue": "", "url": ""},
    "baseline": "CE",
    "arms": {
        "CE": {"label": "hard", "objective": {"name": "cross_entropy"}},
        "LS": {"label": "smoothed", "objective": {"name": "cross_entropy"}, "sweep": "smoothing"},
        "still": {
            "label": "without augmentation",
            "objective": {"name": "cross_entropy"},
            "run": {"augmentation": {"shift": 0}, "training": {"epochs": 1, "evaluate_every": 1}},
        },
    },
    "scales": {
        "smoke": {
            "seeds": 2,
            "levels": {},
            "classes": [3, 8, 0],
            "run": {
                "data": {"name": "digits", "limit": {"train": 400, "validation": 60, "test": 100}},
                "model": {"name": "mlp", "hidden": [32]},
                "optimizer": {"learning_rate": 0.1},
                "augmentation": {"shift": 1},
                "training": {
                    "epochs": 5,
                    "batch_size": 32,
                    "evaluate_every": 2,
                    "snapshot_every": 2,
                    "precision": "float32",
                },
            },
        }
    },
    "outputs": {
        "table": {
            "title": "",
            "caption": "",
            "kind": "table",
            "arms": ["CE", "LS"],
            "levels": [0.2],
            "noise": [0.0],
            "metrics": ["test.accuracy", *OF_NETWORK],
        },
        "still": {
            "title": "",
            "caption": "",
            "kind": "table",
            "arms": ["still"],
            "noise": [0.0],
            "metrics": ["information", "nc1"],
        },
        "plane": {
            "title": "",
            "caption": "",
            "kind": "projection",
            "arms": ["CE"],
            "noise": [0.4],
        },
        "means": {
            "title": "",
            "caption": "",
            "kind": "classes",
            "arms": ["CE"],
            "noise": [0.0],
        },
        "traces": {
            "title": "",
            "caption": "",
            "kind": "trace",
            "arms": ["LS"],
            "levels": [0.2],
            "noise": [0.0],
            "metrics": OF_EPOCHS,
        },
    },
}
DATA = DataSpec.parse(STUDY["scales"]["smoke"]["run"]["data"])
CE, LS, STILL = CellKey("CE", 0.0, 0.0), CellKey("LS", 0.2, 0.0), CellKey("still", 0.0, 0.0)
NOISY = CellKey("CE", 0.0, 0.4)


def planned(outputs: tuple[str, ...] = tuple(STUDY["outputs"]), **changes) -> StudyPlan:
    """Return the plan of some outputs, with other `classes` at the scale, `claims`, or changes of one output."""
    content = copy.deepcopy(STUDY)
    if "classes" in changes:
        content["scales"]["smoke"]["classes"] = changes.pop("classes")
    content["claims"] = changes.pop("claims", [])
    content["outputs"][outputs[0]].update(changes)
    study = Study.parse(content)
    printed = fingerprint(DATA)
    runs = tuple(expand(study, "smoke", outputs))
    data = DataSummary("digits", printed, 10, (1, 8, 8), {})
    loaded, request = LoadedStudy(study, (), Extension()), StudyRequest("study", scale="smoke")
    return StudyPlan(
        request, loaded, study, outputs, runs, (), (data,), tuple(resolve(item.run, printed) for item in runs)
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> RunStore:
    """The runs of all outputs, finished."""
    store = RunStore(tmp_path_factory.mktemp("runs"))
    for _, resolved in planned().runs:
        assert train(resolved, store).status == "trained"
    return store


@pytest.fixture(scope="module")
def results(store) -> StudyResults:
    return conclude(planned(), store)


def _copied(store: RunStore, folder: Path, *, derived: bool = False) -> RunStore:
    """Return a copy of the runs that a test may change, without what was computed of them."""
    leave = ["locks", *([] if derived else ["derived"])]
    shutil.copytree(store.folder, folder / "runs", ignore=shutil.ignore_patterns(*leave))
    return RunStore(folder / "runs")


def _identity(plan: StudyPlan, key: CellKey, seed: int) -> str:
    return next(run.identity for item, run in plan.runs if (item.key, item.seed) == (key, seed))


def test_the_analyses_that_an_output_names_are_metrics_of_its_cells_and_of_no_other(results) -> None:
    for record in (*results.records(CE), *results.records(LS)):
        assert record.reason == ""
        assert OF_NETWORK.keys() <= record.metrics.keys()
        assert all(math.isfinite(record.metrics[name]) for name in OF_NETWORK)
    noisy = results.records(NOISY)
    assert [record.status for record in noisy] == ["complete"] * 2
    assert not any(OF_NETWORK.keys() & record.metrics.keys() for record in noisy)


def test_analyses_that_claims_alone_name_are_computed_and_judged(store) -> None:
    term = {"arm": "CE", "level": 0.0, "noise": 0.4, "metric": "nc1", "weight": 1.0}
    claim = {"id": "c", "quote": "", "where": "", "output": "means", "terms": [term], "reading": ""}
    found = conclude(planned(("means",), claims=[claim]), store)
    assert all(record.metrics["nc1"] > 0 for record in found.records(NOISY))
    (verdict,) = found.verdicts
    assert verdict.n == 2


def test_the_axis_of_a_metric_against_another_is_computed_too(store) -> None:
    found = conclude(planned(("means",), kind="against", x="within", metrics=["test.minor"]), store)
    assert all(record.metrics["within"] > 0 for record in found.records(CE))


def test_an_undefined_analysis_costs_neither_the_run_nor_its_other_numbers(results) -> None:
    for record in results.records(STILL):
        assert record.status == "complete"
        assert record.metrics["nc1"] > 0
        assert "information" not in record.metrics
        assert "information: a run with augmentation" in record.reason


def test_a_projection_shows_the_examples_of_three_classes_and_which_are_labelled_wrong(results, store) -> None:
    shown = {found.split: found for found in results.shown["plane"].projections}
    assert shown.keys() == {"train", "test"}
    assert {(found.key, found.seed, found.classes) for found in shown.values()} == {(NOISY, 0, ("3", "8", "0"))}
    predictions = read_predictions(store.path(results.records(NOISY)[0].run_id))
    for split, found in shown.items():
        counts = predictions[f"{split}.labels"].bincount()[[3, 8, 0]].tolist()
        assert [found.labels.count(place) for place in range(3)] == counts
        of_classes = torch.isin(predictions[f"{split}.labels"], torch.tensor([3, 8, 0]))
        wrong = predictions[f"{split}.observed"] != predictions[f"{split}.labels"]
        assert sum(found.wrong) == int(wrong[of_classes].sum())
        assert len(found.x) == len(found.y) == len(found.wrong) == sum(counts)
    assert sum(shown["train"].wrong) > 0 == sum(shown["test"].wrong)
    assert shown["train"].templates == shown["test"].templates
    # distances between templates are kept; what is orthogonal to the plane is not shown
    head = load_file(store.path(results.records(NOISY)[0].run_id) / MODEL)
    templates = torch.cat([head["head.weight"], head["head.bias"][:, None]], 1)[[3, 8, 0]].double()
    assert torch.pdist(torch.tensor(shown["train"].templates)).double() == pytest.approx(torch.pdist(templates))


def test_a_projection_shows_at_most_so_many_examples_of_a_class(store, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(projection, "POINTS", 7)
    found = conclude(planned(("plane",)), _copied(store, tmp_path))
    for one in found.shown["plane"].projections:
        assert [one.labels.count(place) for place in range(3)] == [7, 7, 7]


def test_class_means_are_those_of_each_seed_averaged(results, store) -> None:
    (found,) = results.shown["means"].class_means
    assert (found.key, found.split, found.runs, found.classes) == (CE, "test", 2, tuple(map(str, range(10))))
    each = []
    for record in results.records(CE):
        predictions = read_predictions(store.path(record.run_id))
        probs, labels = predictions["test.logits"].double().softmax(-1), predictions["test.labels"]
        each.append(torch.stack([probs[labels == name].mean(0) for name in range(10)]))
    assert torch.tensor(found.means).double() == pytest.approx((each[0] + each[1]) / 2, abs=1e-6)


def test_of_many_classes_the_first_are_shown_and_of_those_without_examples_none(store, monkeypatch) -> None:
    monkeypatch.setattr(classes, "CLASSES", 4)

    def without_class_1(folder):
        found = read_predictions(folder)
        rows = found["test.labels"] != 1
        return {name: found[name][rows] for name in ("test.logits", "test.labels")}

    (whole,) = conclude(planned(("means",)), store).shown["means"].class_means
    monkeypatch.setattr(evidence, "read_predictions", without_class_1)
    (shown,) = conclude(planned(("means",)), store).shown["means"].class_means
    assert (whole.classes, shown.classes) == (("0", "1", "2", "3"), ("0", "2", "3", "4"))
    assert [len(row) for row in shown.means] == [4] * 4
    assert shown.means[1][1] == pytest.approx(whole.means[2][2])


def test_a_trace_is_the_history_over_the_seeds(results, store) -> None:
    traces = {found.metric: found for found in results.shown["traces"].traces}
    assert [*traces] == OF_EPOCHS
    assert {(found.key, found.runs) for found in traces.values()} == {(LS, 2)}
    assert traces["objective"].epochs == (1, 2, 3, 4, 5)
    assert traces["validation_accuracy"].epochs == traces["validation_nll"].epochs == (2, 4)
    each = [read_history(store.path(record.run_id)) for record in results.records(LS)]
    for place in range(5):
        values = [rows[place]["objective"] for rows in each]
        assert traces["objective"].mean[place] == pytest.approx(sum(values) / 2)
        assert (traces["objective"].low[place], traces["objective"].high[place]) == (min(values), max(values))


def test_the_trace_of_information_ends_at_the_information_of_the_trained_network(results) -> None:
    trace = next(found for found in results.shown["traces"].traces if found.metric == "information")
    assert trace.epochs == (0, 2, 4, 5)
    assert trace.mean[-1] == pytest.approx(results.summary(LS, "information").mean, abs=1e-12)
    # an untrained network tells little, a trained one about the class at least
    assert trace.mean[0] < 0.5 < math.log(2) - 0.1 < trace.mean[-1]


def test_a_page_made_again_computes_nothing(results, store, monkeypatch) -> None:
    def computes(*_):
        raise AssertionError("what was computed before is computed again")

    monkeypatch.setattr(measured_subject.Subject, "__init__", computes)
    again = conclude(planned(("table", "plane", "means", "traces")), store)
    assert again.shown["plane"].projections == results.shown["plane"].projections
    assert again.shown["traces"].traces == results.shown["traces"].traces
    assert again.shown["means"].class_means == results.shown["means"].class_means
    for key in (CE, LS):
        assert [r.metrics for r in again.records(key)] == [r.metrics for r in results.records(key)]


def test_several_processes_measure_the_same_numbers(results, store, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(measure, "ALONE", 0.0)
    seen: list[Progress] = []
    processes: list[int] = []

    def counted(items, work, ended, workers, **settings):
        processes.append(workers)
        work_on(items, work, ended, workers, **settings)

    monkeypatch.setattr(measure, "work_on", counted)
    copied = _copied(store, tmp_path)
    records = measure.measure_runs(planned(), copied, workers=2, on_progress=seen.append)
    assert [replace(record, reason="") for record in records] == [replace(one, reason="") for one in results.cells]
    assert processes == [2]
    assert (seen[-1].task, seen[-1].finished, seen[-1].total, seen[-1].done) == ("measure", 8, 8, 1.0)

    def computes(*_):
        raise AssertionError("a trace is computed again")

    # the traces of the outputs were computed with the numbers
    monkeypatch.setattr(measured_subject.Subject, "__init__", computes)
    assert conclude(planned(("traces",)), copied).shown["traces"].traces == results.shown["traces"].traces


def test_cached_measures_are_not_reported(results, store) -> None:
    seen: list[Progress] = []
    assert len(measure.measure_runs(planned(), store, on_progress=seen.append)) == 8
    assert seen == []


def test_other_classes_are_other_numbers(results, store) -> None:
    found = conclude(planned(("table",), classes=[1, 2, 4]), store)
    for before, after in zip(results.records(CE), found.records(CE), strict=True):
        assert before.metrics["information"] != after.metrics["information"]
        assert before.metrics["nc1"] == after.metrics["nc1"]


def test_other_classes_are_another_trace_of_information(results, store) -> None:
    found = conclude(planned(("traces",), classes=[1, 2, 4]), store)
    before, after = (next(t for t in r.shown["traces"].traces if t.metric == "information") for r in (results, found))
    assert before.epochs == after.epochs
    assert before.mean[-1] != after.mean[-1]


@pytest.mark.parametrize("classes", [None, [1, 2, 10]])
def test_without_three_classes_of_the_data_only_what_needs_them_is_left_out(store, tmp_path, classes) -> None:
    found = conclude(planned(("table", "plane"), classes=classes), store)
    for record in found.records(CE):
        assert "classes: three of the 10 classes" in record.reason
        assert {"nc1", "within", "probe.accuracy"} <= record.metrics.keys()
        assert not any(OF_NETWORK[name].needs_classes for name in record.metrics.keys() & OF_NETWORK.keys())
    assert found.shown["plane"].projections == ()
    assert "not shown: classes: three of the 10 classes" in found.records(NOISY)[0].reason


def test_data_that_changed_leave_the_page_what_needs_none(results, store, tmp_path, monkeypatch) -> None:
    other = replace(load(DATA), fingerprint="other")
    measured_subject._loaded.cache_clear()
    monkeypatch.setattr(measured_subject, "load_cached", lambda spec, cache: other)
    found = conclude(planned(), _copied(store, tmp_path), workers=1)  # no process with other data
    measured_subject._loaded.cache_clear()
    assert {record.status for record in found.cells} == {"complete"}
    assert "data: the data that the run was trained on; got other content" in found.records(CE)[0].reason
    assert found.shown["plane"].projections == ()
    assert {trace.metric for trace in found.shown["traces"].traces} == {*OF_EPOCHS} - {"information"}
    # names of classes are the data's; without them numbers do
    assert found.shown["means"].class_means == results.shown["means"].class_means
    assert found.records(CE)[0].metrics["test.minor"] == results.records(CE)[0].metrics["test.minor"]


def test_a_missing_run_leaves_its_cell_to_the_others(store, tmp_path) -> None:
    plan, copied = planned(), _copied(store, tmp_path, derived=True)
    for key in (CE, LS, NOISY):
        shutil.rmtree(copied.path(_identity(plan, key, 0)))
    found = conclude(plan, copied)
    assert [record.status for record in found.records(CE)] == ["missing", "complete"]
    assert {one.seed for one in found.shown["plane"].projections} == {1}
    assert [one.runs for one in found.shown["means"].class_means] == [1]
    assert {one.runs for one in found.shown["traces"].traces} == {1}
