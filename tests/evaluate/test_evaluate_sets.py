"""Prediction sets in an evaluation: the rows that calibrate them, their numbers, the page, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluate.evaluation_files import simulate, write_arrays

from softtargets._errors import InputError
from softtargets.calibration import LAC, coverage_range
from softtargets.cli import run_safely
from softtargets.cli.errors import BAD_INPUT, DONE
from softtargets.evaluate import EvaluateRequest, EvaluationOptions, evaluate_predictions
from softtargets.evaluate.results import EvaluationResults
from softtargets.evaluate.sets import page
from softtargets.evaluate.sets.results import MethodSets, SetEvaluation
from softtargets.evaluate.values import IntervalEnds
from softtargets.metrics import set_coverage
from softtargets.metrics.groups import group_of

N, K = 600, 4
LOGITS, LABELS = simulate(N, K)
OPTIONS = EvaluationOptions(n_draws=20, conformal=0.1)
METHODS = ["LAC", "APS", "RAPS", "LAC, per class"]


def sets_of(results: EvaluationResults) -> SetEvaluation:
    assert results.main.sets is not None
    return results.main.sets


def test_one_half_calibrates_and_the_other_is_measured() -> None:
    results = evaluate_predictions(logits=LOGITS, labels=LABELS, options=OPTIONS)
    sets = sets_of(results)
    half = group_of(torch.arange(N), 2, OPTIONS.seed + 2) == 0
    assert (sets.calibration_rows, sets.rows) == (int(half.sum()), int((~half).sum()))
    assert 250 < sets.rows < 350
    assert [one.method for one in sets.methods] == METHODS
    for name, predictor in (("LAC", LAC()), ("LAC, per class", LAC(class_conditional=True, rare="merge"))):
        predictor.fit(LOGITS[half], LABELS[half], alpha=0.1)
        expected = set_coverage(predictor.predict_sets(LOGITS[~half]), LABELS[~half], alpha=0.1)
        found = sets.method(name)
        assert found.coverage == float(expected.coverage)
        assert list(found.coverage_interval) == expected.coverage_interval.tolist()
        assert found.mean_size == float(expected.mean_size)
        assert list(found.sizes) == expected.size_rows.tolist()
        assert found.worst_class == int(expected.worst_class)
        assert found.worst_coverage == float(expected.class_coverage[found.worst_class])
        assert found.worst_interval.low < found.worst_coverage < found.worst_interval.high
        assert found.threshold == (float(predictor.thresholds) if name == "LAC" else None)
    assert sets.expected is not None
    assert tuple(sets.expected) == coverage_range(
        alpha=0.1, calibration_rows=sets.calibration_rows, test_rows=sets.rows
    )
    assert all(sets.expected.low <= sets.method(name).coverage <= sets.expected.high for name in METHODS[:3])
    assert "have 2." in results.findings[-1].title or "have 1." in results.findings[-1].title
    # everything else is that of an evaluation without sets
    plain = evaluate_predictions(logits=LOGITS, labels=LABELS, options=EvaluationOptions(n_draws=20))
    assert plain.main.sets is None
    assert plain.main.metrics == results.main.metrics
    assert plain.findings == results.findings[:-1]


def test_the_seed_divides_the_rows_and_files_give_the_same_numbers(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    whole = {"logits": LOGITS.numpy(), "labels": LABELS.numpy()}
    for place, rows in enumerate((slice(0, 230), slice(230, N))):
        write_arrays(f"shard-{place}.npz", {name: array[rows] for name, array in whole.items()})
    of_arrays = sets_of(evaluate_predictions(logits=LOGITS, labels=LABELS, options=OPTIONS))
    assert sets_of(evaluate_predictions(predictions="shard-*.npz", options=OPTIONS)) == of_arrays
    other = EvaluationOptions(n_draws=20, conformal=0.1, seed=1)
    assert sets_of(evaluate_predictions(logits=LOGITS, labels=LABELS, options=other)) != of_arrays


def test_rows_of_a_file_calibrate_all_rows(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_arrays("held.npz", {"logits": LOGITS[200:].numpy(), "labels": LABELS[200:].numpy()})
    # probabilities calibrate logits as well
    write_arrays("cal.npz", {"probs": LOGITS[:200].double().softmax(1).numpy(), "labels": LABELS[:200].numpy()})
    request = EvaluateRequest.parse(["held.npz"], conformal_from="cal.npz")
    results = evaluate_predictions(predictions=request, options=OPTIONS)
    sets = sets_of(results)
    assert (sets.calibration_rows, sets.rows, sets.file) == (200, 400, "cal.npz")
    fitted = LAC().fit(LOGITS[:200].double(), LABELS[:200], alpha=0.1)
    expected = set_coverage(fitted.predict_sets(LOGITS[200:]), LABELS[200:], alpha=0.1)
    assert sets.method("LAC").coverage == float(expected.coverage)
    assert results.command.endswith("held.npz --conformal-from cal.npz --conformal 0.1 --seed 0")


def test_rows_that_differ_from_the_calibration_rows_are_found(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_arrays("held.npz", {"logits": LOGITS[200:].numpy(), "labels": (LABELS[200:].numpy() + 1) % K})
    write_arrays("cal.npz", {"logits": LOGITS[:200].numpy(), "labels": LABELS[:200].numpy()})
    request = EvaluateRequest.parse(["held.npz"], conformal_from="cal.npz")
    finding = evaluate_predictions(predictions=request, options=OPTIONS).findings[-1]
    assert finding.tone == "contradicted"
    assert finding.title.startswith("Prediction sets do not reach a coverage of 90.00 %: the rows differ from")


def test_all_models_are_calibrated_on_the_same_rows() -> None:
    against = {"worse": LOGITS + torch.randn(N, K, generator=torch.Generator().manual_seed(1)) * 3}
    results = evaluate_predictions(logits=LOGITS, labels=LABELS, against=against, options=OPTIONS)
    own, other = (model.sets for model in results.models)
    assert own is not None
    assert other is not None
    assert (own.calibration_rows, own.rows) == (other.calibration_rows, other.rows)
    assert own.method("LAC").mean_size < other.method("LAC").mean_size


def test_too_few_rows_are_a_note_and_not_a_warning() -> None:
    results = evaluate_predictions(logits=LOGITS[:12], labels=LABELS[:12], options=OPTIONS)
    sets = sets_of(results)
    assert sets.expected is None
    assert sets.method("LAC").threshold is None
    assert sets.method("LAC").mean_size == K
    assert sets.notes == (f"With {sets.calibration_rows} calibration rows and alpha = 0.1, every set has all classes.",)
    assert results.findings[-1].tone == "not-run"


def refused(argument: str, **given) -> None:
    with pytest.raises(InputError, match=argument):
        evaluate_predictions(**given)


def test_what_is_refused(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, rows in (("held", slice(0, 100)), ("copy", slice(0, 100)), ("other", slice(100, 200))):
        write_arrays(f"{name}.npz", {"logits": LOGITS[rows].numpy(), "labels": LABELS[rows].numpy()})
    write_arrays("three.npz", {"logits": LOGITS[:9, :3].numpy(), "labels": LABELS[:9].numpy() % 3})
    write_arrays("unlabelled.npz", {"logits": LOGITS[:9].numpy()})
    for alpha in (0.0, 1.0, 2, "0.1"):
        with pytest.raises(InputError, match="conformal: a number above 0 and below 1"):
            EvaluationOptions(conformal=alpha)  # pyright: ignore[reportArgumentType]

    def asked(file: str, against: tuple[str, ...] = ()) -> EvaluateRequest:
        return EvaluateRequest.parse(["held.npz"], against, conformal_from=file)

    for file in ("held.npz", "copy.npz"):
        refused(
            "--conformal-from: rows that are not evaluated; got the same rows", predictions=asked(file), options=OPTIONS
        )
    refused("--conformal-from: rows of 4 classes", predictions=asked("three.npz"), options=OPTIONS)
    refused("predictions: labels in the files", predictions=asked("unlabelled.npz"), options=OPTIONS)
    refused("left out together with --against", predictions=asked("other.npz", ("copy.npz",)), options=OPTIONS)
    refused("--conformal-from: given together with --conformal", predictions=asked("other.npz"))
    refused(
        "--conformal: one example in each row",
        logits=LOGITS.reshape(60, 10, 4),
        labels=LABELS.reshape(60, 10),
        options=OPTIONS,
    )
    refused("--conformal: rows to ", logits=LOGITS[:1], labels=LABELS[:1], options=OPTIONS)


def _method(sizes: tuple[int, ...]) -> MethodSets:
    ends = IntervalEnds(0.0, 1.0)
    return MethodSets("LAC", 0.5, 0.9, ends, 1.0, ends, 0.0, sizes, 0.9, 0.0, 0, 0.9, 5, ends)


def test_sizes_are_listed_without_those_that_no_method_has() -> None:
    found = SetEvaluation(0.1, 9, 9, "", None, (_method((1, 5, 0, 3)),))
    assert [(row.sizes, row.counts) for row in page.size_rows(found)] == [("0", (1,)), ("1", (5,)), ("3", (3,))]
    many = SetEvaluation(0.1, 9, 9, "", None, (_method((0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 1, 1, 7)),))
    listed = [(row.sizes, row.counts[0]) for row in page.size_rows(many)]
    assert listed == [*((str(k), 1) for k in range(1, 6)), ("6 to 10", 10), ("11 to 13", 9)]


@pytest.mark.slow
def test_the_command_writes_them_on_the_page_and_into_the_json(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("held.npz", logits=LOGITS.numpy(), labels=LABELS.numpy())
    assert run_safely(["evaluate", "held.npz", "--conformal", "0.1", "--output", "out"]) == DONE
    printed = capsys.readouterr().out
    assert "Prediction sets with a coverage of 90.00 % have" in printed
    assert "LAC, per class: coverage" in printed
    said = json.loads(Path("out/evaluation.json").read_text())["models"][0]["prediction_sets"]
    assert list(said["methods"]) == METHODS
    assert sum(said["methods"]["APS"]["sizes"]) == said["rows"]
    html = Path("out/index.html").read_text()
    assert '<section id="sets"' in html
    assert f"{said['calibration_rows']} rows, a random half," in html
    assert html.count('data-label="Worst class"') == 4
    assert "chart-sizes-1" in html
    assert run_safely(["evaluate", "held.npz", "--conformal", "90"]) == BAD_INPUT
    assert "conformal: a number above 0 and below 1; got 90.0" in capsys.readouterr().err


@pytest.mark.browser
def test_the_page_opens_in_a_browser(tmp_path, check_page) -> None:
    against = {"worse": LOGITS + torch.randn(N, K, generator=torch.Generator().manual_seed(1)) * 3}
    results = evaluate_predictions(logits=LOGITS, labels=LABELS, against=against, output=tmp_path, options=OPTIONS)
    assert results.page is not None
    check_page(results.page)
