"""The model card shows the numbers of the record and of an evaluation, and nothing that was not measured."""

import json
from pathlib import Path

import pytest
import torch
from classifiers import run_on

from softtargets._errors import InputError
from softtargets.calibration import IsotonicCalibration, TemperatureScaling
from softtargets.evaluate import evaluate_predictions
from softtargets.export.card import model_card
from softtargets.export.facts import calibration_warnings, gather_facts
from softtargets.metrics import accuracy
from softtargets.train import load_run, train_run


def audit_of(classes: tuple[str, ...], path: Path, *, told: bool = True) -> Path:
    path.mkdir(exist_ok=True)
    rate = {"estimate": 0.12, "low": 0.09, "high": 0.15}
    content = {"noise_rate": rate, "noise_rate_told": told, "rows": 1234, "class_names": list(classes)}
    (path / "audit.json").write_text(json.dumps(content))
    return path


def test_numbers_of_the_test_split_before_and_after_calibration(trained) -> None:
    run = trained("images").calibrate("temperature-scaling")
    card = model_card(gather_facts(run))
    logits, labels = run.predictions["test.logits"], run.predictions["test.labels"]
    found = evaluate_predictions(logits.double().softmax(-1), labels).main
    after = evaluate_predictions(run.classifier.calibrated(logits.double()).exp(), labels).main
    (line,) = (line for line in card.splitlines() if line.startswith("| ECE |"))
    before_ece, after_ece = found.metric("ece"), after.metric("ece")
    assert before_ece is not None
    assert after_ece is not None
    assert line.split(" | ")[1] == f"{100 * (before_ece.value or 0):.2f} %"
    assert line.split(" | ")[3] == f"{100 * (after_ece.value or 0):.2f} %"
    assert before_ece.value != after_ece.value
    share = accuracy(logits.double().softmax(-1), labels)
    assert f"| Accuracy | {100 * float(share):.2f} % |" in card
    assert "Label noise: not estimated." in card
    assert f"| train | 120 | {min(run.result['data']['class_counts']['train'])} to" in card
    assert "| objective | cross_entropy |" in card
    assert f"`{run.calibrator!r}`, with 60 validation rows" in card
    assert card.count("\n| 3 | ") == 1  # its row among the classes


def test_without_calibrator_there_is_one_column(trained) -> None:
    card = model_card(gather_facts(trained("a table")))
    assert "| | value | 95 % interval |" in card
    assert "after calibration" not in card
    assert "Calibrator" not in card


def test_an_audit_gives_the_noise(trained, tmp_path: Path) -> None:
    run = trained("images")
    place = audit_of(run.class_names, tmp_path / "audit")
    assert "12 % of 1,234 audited labels are estimated to be wrong (9 % to 15 %)." in model_card(
        gather_facts(run, place)
    )
    told = model_card(gather_facts(run, audit_of(run.class_names, place, told=False) / "audit.json"))
    assert "too wide to tell the rate" in told
    with pytest.raises(InputError, match="audit: an audit of the classes of the run; got one with the class 'cat'"):
        gather_facts(run, audit_of(("cat",), tmp_path / "other"))
    with pytest.raises(InputError, match=r"audit: a folder with an audit\.json"):
        gather_facts(run, tmp_path)


def test_noise_that_was_added_on_purpose_is_said(tmp_path: Path) -> None:
    specification = {
        "data": {"name": "digits", "limit": {"train": 120, "validation": 60, "test": 60}},
        "noise": {"name": "symmetric", "rate": 0.3},
        "model": {"name": "mlp", "hidden": [8]},
        "training": {"epochs": 1},
    }
    run = load_run(train_run(specification, runs=tmp_path).folder).calibrate()
    card = model_card(gather_facts(run))
    assert "Labels were changed on purpose (symmetric); share of changed labels: " in card
    assert "fitted on validation labels that are noisy" in card
    assert "not estimated" not in card


def test_a_class_without_test_rows_is_a_limit(tmp_path: Path) -> None:
    run = run_on("a table", tmp_path)
    labels = run.predictions["test.labels"]
    labels.zero_()
    card = model_card(gather_facts(run))
    assert "No test row has the class: yes. Its recall is not known." in card


def test_a_calibrator_that_harms_or_did_not_converge_is_a_limit(tmp_path: Path) -> None:
    """20 validation rows that are all right; the isotonic fit to them gives some test labels the probability 0."""
    run = run_on("a table", tmp_path)
    draws = torch.Generator().manual_seed(0)
    logits = torch.randn(400, len(run.class_names), generator=draws)
    labels = logits.softmax(1).multinomial(1, generator=draws)[:, 0]
    few = slice(0, 20)
    run.predictions.update({"test.logits": logits, "test.labels": labels, "validation.ids": torch.arange(20)})
    run.classifier.calibrator = TemperatureScaling().fit(logits[few], logits[few].argmax(1))
    card = model_card(gather_facts(run))
    assert "- The calibrator did not converge on its 20 validation rows, as when all of them are predicted" in card
    run.classifier.calibrator = IsotonicCalibration().fit(logits[few], logits[few].argmax(1))
    facts = gather_facts(run)
    first, second = calibration_warnings(facts.calibrator, 20, facts.evaluation)
    assert facts.evaluation is not None
    assert f"gives the label of {facts.evaluation.main.zero_rows} test rows the probability 0" in first
    floored = facts.evaluation.main.metric("nll_floored")
    assert floored is not None
    assert f"({floored.value:.3f} nats with probabilities ≥ 1e-06)" in first
    assert second == "The calibrator makes the test split significantly worse in Brier score and ECE."
    assert f"- {first}\n- {second}\n" in model_card(facts)
    assert calibration_warnings(None, 0, facts.evaluation) == ()
