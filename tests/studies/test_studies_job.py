"""The main job: a study run, killed, run again, run beside itself, on other data, and with failures."""

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from softtargets._errors import InputError
from softtargets._interruption import interruption
from softtargets.runs.store import PREDICTIONS, RunStore
from softtargets.studies.job import page_folder, report, run
from softtargets.studies.page import files
from softtargets.studies.plan import StudyPlan, make_plan
from softtargets.studies.records import CellKey
from softtargets.studies.request import StudyRequest
from softtargets.train.execute import validate_setup

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
DRAW = files.draw


@pytest.fixture(autouse=True, scope="module")
def undrawn() -> Iterator[None]:
    """Leave figures out of the pages: to draw them takes as long as to train the runs, and no number is in them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "draw", lambda *_: None)
        yield


def _request(folder: Path, study: str | Path = "lukasik2020", **changes) -> StudyRequest:
    return StudyRequest(str(study), scale="smoke", runs=folder / "runs", reports=folder / "reports", **changes)


def _plan(request: StudyRequest) -> StudyPlan:
    return make_plan(request, RunStore(request.runs))


def _files(store: Path) -> dict[str, bytes]:
    # a run in the making has a folder too, with a dot in its name: one killed just before its renaming is not finished
    found = (path for path in sorted(store.glob(f"*/{PREDICTIONS}")) if path.parent.name.isalnum())
    return {path.parent.name: path.read_bytes() for path in found}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """One uninterrupted smoke study, by one worker."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, run(_request(folder), workers=1)


def test_a_study_is_trained_once_and_its_page_written(whole) -> None:
    folder, outcome = whole
    assert (outcome.trained, outcome.present, outcome.failed) == (32, 0, 0)
    assert outcome.page == folder / "reports" / "lukasik2020-smoke" / "index.html"
    assert {cell.status for cell in outcome.results.cells} == {"complete"}
    again = run(_request(folder), workers=1)
    assert (again.trained, again.present) == (0, 32)


def test_two_workers_give_the_same_bits_as_one(whole, tmp_path, page_numbers) -> None:
    folder, _ = whole
    run(_request(tmp_path), workers=2)
    assert _files(tmp_path / "runs") == _files(folder / "runs")
    assert page_numbers(tmp_path / "reports/lukasik2020-smoke") == page_numbers(folder / "reports/lukasik2020-smoke")


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interruption_that_was_lost_on_its_way_stops_the_study_all_the_same(tmp_path, workers) -> None:
    interruption.set()
    try:
        with pytest.raises(KeyboardInterrupt):
            run(_request(tmp_path), workers=workers)
    finally:
        interruption.clear()
    assert len(list(tmp_path.glob("runs/*/result.json"))) < 32


RUN = """
import os
from pathlib import Path
from softtargets.studies.job import run
from softtargets.studies.page import files
from softtargets.studies.request import StudyRequest
os.setsid()  # a session of its own, so that its workers can be killed with it
files.draw = lambda *_: None
root = Path(folder)
request = StudyRequest("lukasik2020", scale="smoke", runs=root / "runs", reports=root / "reports")
outcome = run(request, workers=workers, checkpoint_seconds=0)
(root / f"trained.{os.getpid()}").write_text(str(outcome.trained))
"""


def _start(folder: Path, workers: int) -> BaseProcess:
    # forked off a server that has imported what takes seconds to import
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["softtargets.studies.job"])
    process = context.Process(target=exec, args=(RUN, {"folder": str(folder), "workers": workers}))
    process.start()
    return process


def _progress(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("runs/*/history.jsonl"))


@pytest.mark.slow
def test_killed_at_ten_random_moments_every_number_is_digit_for_digit_the_same(whole, tmp_path, page_numbers) -> None:
    folder, _ = whole
    chance = random.Random(0)
    killed = 0
    # at least ten times, and until some runs are finished
    while killed < 10 or not _files(tmp_path / "runs"):
        process = _start(tmp_path, workers=2 if killed % 3 == 1 else 1)
        before = _progress(tmp_path)
        # wait for training to be under way, or the process to be through
        while process.is_alive() and _progress(tmp_path) <= before:
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.12))
        if process.is_alive():
            assert process.pid is not None
            os.killpg(process.pid, signal.SIGKILL)
        process.join()
        assert process.exitcode == -signal.SIGKILL, "the study was over before it could be killed ten times"
        killed += 1
    finished = len(_files(tmp_path / "runs"))
    assert 0 < finished < 32
    outcome = run(_request(tmp_path), workers=1)
    assert (outcome.trained, outcome.present, outcome.failed) == (32 - finished, finished, 0)
    assert _files(tmp_path / "runs") == _files(folder / "runs")
    assert page_numbers(tmp_path / "reports/lukasik2020-smoke") == page_numbers(folder / "reports/lukasik2020-smoke")


@pytest.mark.slow
def test_two_processes_on_one_store_train_each_run_once(whole, tmp_path) -> None:
    folder, _ = whole
    processes = [_start(tmp_path, workers=1) for _ in range(2)]
    for process in processes:
        process.join(300)
        process.kill()  # one that hangs would be waited for when all tests are over
    assert [process.exitcode for process in processes] == [0, 0]
    assert sum(int((tmp_path / f"trained.{process.pid}").read_text()) for process in processes) == 32
    assert _files(tmp_path / "runs") == _files(folder / "runs")


def test_a_damaged_record_alone_is_made_again(whole, tmp_path) -> None:
    folder, first = whole
    cell = first.results.cells[5]
    path = folder / "runs" / cell.run_id / PREDICTIONS
    content = path.read_bytes()
    path.write_bytes(content[:-7])
    again = run(_request(folder), workers=1)
    assert (again.trained, again.present) == (1, 31)
    assert path.read_bytes() == content
    assert again.results.cells[5].metrics == cell.metrics


CLAIM = """
[[claims]]
id = "{id}"
quote = "more noise, less accuracy"
where = "a test"
output = "table3"
reading = "accuracy at 40 % noise is above that at 60 %"
relation = "{relation}"
terms = [
    {{ arm = "LS", level = "table3", noise = 0.4, metric = "train.accuracy", weight = 1.0 }},
    {{ arm = "LS", level = "table3", noise = 0.6, metric = "train.accuracy", weight = -1.0 }},
]
"""


def test_a_reproduced_claim_inverted_in_a_copy_is_contradicted(edited_copy, tmp_path) -> None:
    right = edited_copy(claims=CLAIM.format(id="c", relation=">"), name="right")
    wrong = edited_copy(claims=CLAIM.format(id="c", relation="<"), name="wrong")
    settings = {"output": "table3", "seeds": 5}
    (verdict,) = run(_request(tmp_path, right, **settings), workers=1).results.verdicts
    assert verdict.name == "reproduced"
    outcome = run(_request(tmp_path, wrong, **settings), workers=1)
    (inverted,) = outcome.results.verdicts
    assert outcome.trained == 0, "the runs are the same, only the claim is not"
    assert inverted.name == "contradicted"
    assert (inverted.low, inverted.high, inverted.n) == (verdict.low, verdict.high, 5)


def test_runs_that_fail_are_said_and_the_others_go_on(edited_copy, tmp_path) -> None:
    copy = edited_copy(
        ("large = [0.8]", "large = [0.9999999]"),
        ("all = [0.1, 0.2, 0.8]", "all = [0.1, 0.2, 0.9999999]"),
        ("figure2 = [0.0, 0.1, 0.2, 0.8]", "figure2 = [0.0, 0.1, 0.2, 0.9999999]"),
        ("clip_norm = 1.0, precision", "precision"),
    )
    outcome = run(_request(tmp_path, copy, output="figure2"), workers=2)
    failed = {cell.key for cell in outcome.results.cells if cell.status == "failed"}
    assert failed == {CellKey("BC", 0.9999999, 0.2)}
    assert (outcome.failed, outcome.trained) == (2, 18)
    reason = next(cell.reason for cell in outcome.results.cells if cell.status == "failed")
    assert "at step" in reason
    verdicts = {verdict.claim.id: verdict for verdict in outcome.results.verdicts}
    assert verdicts["bc-better-large"].name == "not run"
    assert verdicts["ls-improves"].name != "not run"
    page = outcome.page.read_text()
    assert "<b>2 runs failed.</b>" in page
    assert f": {reason}" in page


def test_report_trains_nothing_and_says_what_is_missing(tmp_path, whole) -> None:
    folder, first = whole
    outcome = report(_request(folder))
    assert (outcome.trained, outcome.present) == (0, 32)
    assert outcome.results.verdicts == first.results.verdicts
    assert [cell.metrics for cell in outcome.results.cells] == [cell.metrics for cell in first.results.cells]
    empty = report(_request(tmp_path))
    assert {cell.status for cell in empty.results.cells} == {"missing"}
    assert {verdict.name for verdict in empty.results.verdicts if verdict.claim.exact is None} == {"not run"}
    assert not list((tmp_path / "runs").glob("*/result.json"))


def test_one_output_trains_only_what_it_needs(tmp_path) -> None:
    outcome = run(_request(tmp_path, output="table4"), workers=1)
    assert {(cell.key.arm, cell.key.level) for cell in outcome.results.cells} == {("CE", 0), ("LS", 0.1), ("LS", 0.2)}
    assert outcome.page.parent.name == "lukasik2020-smoke-table4"


def test_an_exact_figure_needs_no_run(tmp_path) -> None:
    outcome = run(_request(tmp_path, output="figure1"))
    assert outcome.results.cells == ()
    assert len(outcome.results.shown["figure1"].curves) == 9


def test_a_csv_of_the_users_own(tmp_path) -> None:
    chance = random.Random(0)
    rows = [(chance.gauss(3 * (i % 3), 1), chance.gauss(-2 * (i % 3), 1), "abc"[i % 3]) for i in range(300)]
    path = tmp_path / "mine.csv"
    path.write_text("width,height,kind\n" + "".join(f"{a:.3f},{b:.3f},{label}\n" for a, b, label in rows))
    outcome = run(_request(tmp_path, output="figure2", data=str(path), label="kind"), workers=1)
    assert outcome.failed == 0
    assert [shown.num_classes for shown in outcome.results.data] == [3]
    assert "--data" in outcome.results.command
    baseline = outcome.results.summary(CellKey("CE", 0.0, 0.2), "test.accuracy")
    assert baseline is not None
    assert baseline.mean > 0.6
    with pytest.raises(InputError, match=r"label.*kind"):
        _plan(_request(tmp_path, output="figure2", data=str(path)))


def test_bad_labels_are_named_with_file_and_row_before_anything_is_trained(tmp_path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("a,label\n" + "".join(f"{i},{i % 2}\n" for i in range(20)) + "3,\n")
    with pytest.raises(InputError, match=r"mine\.csv.*row 20"):
        run(_request(tmp_path, output="figure2", data=str(path)))
    assert not list((tmp_path / "runs").glob("*/result.json"))


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data sets are not beside the project")
def test_fashion_mnist_as_parquet(tmp_path) -> None:
    data = str(SHARED / "fashion-mnist")
    outcome = run(_request(tmp_path, output="table4", data=data), workers=1)
    assert (outcome.trained, outcome.failed) == (6, 0)
    (shown,) = outcome.results.data
    assert shown.input_shape == (1, 28, 28)
    assert shown.sizes == {"train": 400, "validation": 100, "test": 200}


def test_a_store_survives_being_moved(whole, tmp_path) -> None:
    import shutil

    folder, first = whole
    shutil.copytree(folder / "runs", tmp_path / "runs")
    outcome = run(_request(tmp_path), workers=1)
    assert (outcome.trained, outcome.present) == (0, 32)
    assert outcome.results.verdicts == first.results.verdicts
    assert RunStore(tmp_path / "runs").result(outcome.results.cells[0].run_id) is not None


@pytest.mark.browser
def test_the_page_in_a_browser(whole, check_page, monkeypatch) -> None:
    folder, _ = whole
    monkeypatch.setattr(files, "draw", DRAW)
    page = report(_request(folder)).page
    assert page.read_text().count('class="chart-spec"') == 9
    check_page(page)


def test_a_page_never_takes_anothers_place(tmp_path) -> None:
    folders = set()
    (tmp_path / "table4.csv").write_text("a,label\n" + "".join(f"{i},{i % 2}\n" for i in range(60)))
    other = tmp_path / "other"
    other.mkdir()
    (other / "table4.csv").write_text("a,label\n" + "".join(f"{i},{i % 3}\n" for i in range(60)))
    choices: list[dict[str, Any]] = [
        {},
        {"seeds": 3},
        {"output": "table4"},
        {"data": str(tmp_path / "table4.csv")},
        {"data": str(other / "table4.csv")},
        {"data": str(other / "table4.csv"), "output": "table4"},
    ]
    for changes in choices:
        request = _request(tmp_path, **changes)
        folders.add(page_folder(request, _plan(request)))
    assert len(folders) == 6
    assert {folder.parent for folder in folders} == {tmp_path / "reports"}


def test_a_study_named_by_a_path_keeps_its_page_in_the_reports(edited_copy, tmp_path, monkeypatch) -> None:
    copy = edited_copy()
    monkeypatch.chdir(copy)
    request = _request(tmp_path, ".", output="figure1")
    assert page_folder(request, _plan(request)) == tmp_path / "reports" / "lukasik2020-smoke-figure1"


def test_the_command_can_be_pasted() -> None:
    request = StudyRequest("lukasik2020", "figure2", data="my data.csv", label="the label", seeds=4)
    expected = "softtargets run lukasik2020 figure2 --scale desk --seeds 4 --data 'my data.csv' --label 'the label'"
    assert request.command == expected


@pytest.mark.parametrize("scale", ["smoke", "desk"])
def test_a_table_at_any_scale_goes_without_augmentation(tmp_path, scale) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("a,b,label\n" + "".join(f"{i},{-i},{i % 2}\n" for i in range(60)))
    made = _plan(replace(_request(tmp_path, output="table4", data=str(path)), scale=scale))
    assert not any(item.run.augmentation.active for item, _ in made.runs)
    assert any("No augmentation" in text for text in made.differs) == (scale == "desk")
    validate_setup([run for _, run in made.runs], RunStore(tmp_path / "runs"))


def test_faults_of_the_study_are_said_before_training(edited_copy, tmp_path) -> None:
    copy = edited_copy()
    reported = copy / "reported.csv"
    good = reported.read_text()
    for bad, words in (
        (good.replace("percent", "pct", 1), "row 0.*pct"),
        (good.replace("70.86", "nan", 1), "row 0.*nan"),
        (good + good.splitlines()[1] + "\n", "each number once"),
        (good.replace("test.accuracy", "test.acuracy", 1), "did you mean 'test.accuracy'"),
    ):
        reported.write_text(bad)
        with pytest.raises(InputError, match=words):
            run(_request(tmp_path, copy))
    reported.write_bytes(good.encode() + b"\xff")
    with pytest.raises(InputError, match="UTF-8"):
        _plan(_request(tmp_path, copy))
    wrong = edited_copy(('metrics = ["gap.true", "gap.observed"]', 'metrics = ["train.accuracy"]'), name="wrong")
    with pytest.raises(InputError, match="metric of a density"):
        _plan(_request(tmp_path, wrong))
    assert not (tmp_path / "runs").exists()


def test_folders_that_are_files_are_refused_by_their_option(tmp_path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(InputError, match="runs: the path of a folder; got the file"):
        _plan(_request(tmp_path))


def test_report_needs_neither_the_data_nor_the_machine_that_trained(tmp_path, monkeypatch) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("a,b,label\n" + "".join(f"{i % 7},{-i},{i % 2}\n" for i in range(80)))
    request = _request(tmp_path, output="table4", data=str(path))
    first = run(request, workers=1)
    path.unlink()
    again = report(request)
    assert again.results.verdicts == first.results.verdicts
    assert again.results.data == first.results.data
    with pytest.raises(InputError, match=r"mine\.csv"):
        report(replace(request, runs=tmp_path / "empty"))


def test_a_run_that_cannot_be_measured_does_not_cost_the_page(tmp_path, monkeypatch) -> None:
    from softtargets.studies import measure as measuring

    request = _request(tmp_path, output="table4")
    first = run(request, workers=1)
    broken = first.results.cells[0].run_id
    measure_run = measuring.measure_run

    def refuses(resolved, *arguments):
        if resolved.identity == broken:
            raise InputError("log_probs: finite; got nan; retrain")
        return measure_run(resolved, *arguments)

    monkeypatch.setattr(measuring, "measure_run", refuses)
    outcome = report(request, workers=1)
    assert [cell.status for cell in outcome.results.cells].count("failed") == 1
    assert "not measurable" in outcome.page.read_text()
