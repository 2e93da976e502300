"""`evaluate_predictions`: its numbers by hand and by definition, arrays and files alike."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from evaluate.evaluation_files import simulate, values, write_arrays, write_by_hand, write_csv

from softtargets._errors import InputError
from softtargets.calibration import TemperatureScaling
from softtargets.evaluate import EvaluateRequest, EvaluationOptions, evaluate_predictions, job, page
from softtargets.evaluate.calibrate import FOLDS, fold_of
from softtargets.evaluate.files import as_json


def literally(probs: list[list[float]], labels: list[int]) -> dict[str, float]:
    """Return metrics as their definitions say, a row at a time."""
    n = len(labels)
    bins: dict[int, list[tuple[float, bool]]] = {}
    right, likelihood, squares = 0, 0.0, 0.0
    for row, label in zip(probs, labels, strict=True):
        confidence = max(row)
        correct = row.index(confidence) == label
        right += correct
        likelihood -= math.log(row[label])
        squares += sum((p - (k == label)) ** 2 for k, p in enumerate(row))
        bins.setdefault(max(0, math.ceil(confidence * 15) - 1), []).append((confidence, correct))
    gaps = (abs(sum(c for c, _ in rows) - sum(r for _, r in rows)) for rows in bins.values())
    return {"accuracy": right / n, "nll": likelihood / n, "brier": squares / n, "ece": sum(gaps) / n}


def test_a_csv_by_hand_gives_the_numbers_by_hand(evaluate):
    write_by_hand()
    said = evaluate("hand.csv")
    found = values(said)
    assert found["accuracy"] == 3 / 5
    assert found["nll"] == pytest.approx(-(math.log(0.7 * 0.3 * 0.8 * 0.6 * 0.4)) / 5, abs=1e-11)
    # .09 + .04 + .01, .25 + .49 + .04, .01 + .04 + .01, .04 + .04 + .16, .36 + .25 + .01
    assert found["brier"] == pytest.approx((0.14 + 0.78 + 0.06 + 0.24 + 0.62) / 5, abs=1e-11)
    # confidence .5 twice and wrong; .6, .7 and .8 once each and right; .6 and .8 are edges of the 15 bins
    assert found["ece"] == pytest.approx((2 * 0.5 + 0.4 + 0.3 + 0.2) / 5, abs=1e-11)
    assert found["ece_max"] == pytest.approx(0.5, abs=1e-11)
    assert found["overconfidence"] == pytest.approx((0.7 + 0.5 + 0.8 + 0.6 + 0.5) / 5 - 3 / 5, abs=1e-11)
    # .8, .7 and .6 are right, then two tied ones wrong: their risks are 1/4 and 2/5
    assert found["aurc"] == pytest.approx((1 / 4 + 2 / 5) / 5)
    assert found["misclassification_auroc"] == 1
    assert found["coverage_at_5"] == 3 / 5
    parts = [found[f"brier_{part}"] or 0.0 for part in ("reliability", "uncertainty", "within_bin", "resolution")]
    assert sum(parts[:3]) - parts[3] == pytest.approx(found["brier"])
    assert said["class_names"] == ["cat", "dog", "eel"]
    model = said["models"][0]
    cat, dog, _ = model["classes"]
    assert (cat["labels"], cat["predicted"], cat["right"], cat["recall"], cat["precision"]) == (2, 2, 1, 0.5, 0.5)
    assert cat["confidence"] == pytest.approx(0.6)
    # of the probability of dog .2 (twice), .3, .5 and .8, which is right for .3 and .8
    assert dog["ece"] == pytest.approx((0.4 + 0.7 + 0.5 + 0.2) / 5)
    assert (sum(model["histogram"]["right"]), sum(model["histogram"]["wrong"])) == (3, 2)
    assert model["risk_coverage"] == {"coverage": [0.2, 0.4, 0.6, 1.0], "risk": [0.0, 0.0, 0.0, 0.4]}


def test_of_a_few_rows_there_are_no_intervals_and_no_temperature(evaluate):
    write_by_hand()
    model = evaluate("hand.csv")["models"][0]
    assert all(metric["interval"] is None and "fewer than 20" in metric["why"] for metric in model["metrics"].values())
    assert model["temperature"] is None
    assert "at least 20 rows" in model["no_temperature"]


@pytest.fixture(scope="module")
def classified() -> tuple[Any, Any]:
    """Return what scikit-learn's logistic regression says of digits that it has not seen."""
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split

    inputs, labels = load_digits(return_X_y=True)
    seen, unseen, of_seen, of_unseen = train_test_split(inputs / 16, labels, random_state=0)
    model = LogisticRegression(max_iter=200).fit(seen, of_seen)
    return model.predict_proba(unseen), of_unseen


@pytest.mark.parametrize("name", ["model.npz", "columns.parquet", "lists.parquet"])
def test_a_scikit_learn_model_gives_the_numbers_by_definition(evaluate, classified, name):
    probs, labels = classified
    if name == "model.npz":
        np.savez(name, probs=probs, labels=labels)
    elif name == "columns.parquet":
        frame = pd.DataFrame(probs, columns=[f"probs_{k}" for k in range(10)])
        frame.assign(labels=labels).to_parquet(name)
    else:
        pd.DataFrame({"probs": list(probs), "labels": labels}).to_parquet(name)
    said = evaluate(name)
    expected = literally(probs.tolist(), labels.tolist())
    assert {metric: values(said)[metric] for metric in expected} == pytest.approx(expected, abs=1e-10)
    low, high = said["models"][0]["metrics"]["accuracy"]["interval"]
    assert low < expected["accuracy"] < high < low + 0.1


def test_a_torch_model_gives_the_numbers_by_definition(evaluate):
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = torch.nn.Linear(5, 3)
    with torch.no_grad():
        logits = 4 * model(torch.randn(300, 5))
    labels = torch.randint(3, (300,))
    save_file({"logits": logits, "labels": labels}, "torch.safetensors")
    said = evaluate("torch.safetensors")
    expected = literally(logits.double().softmax(1).tolist(), labels.tolist())
    assert {metric: values(said)[metric] for metric in expected} == pytest.approx(expected, abs=1e-10)
    assert said["models"][0]["kind"] == "logits"


def test_a_temperature_is_judged_on_rows_it_has_not_seen(evaluate):
    logits, labels = simulate()
    np.savez("sure.npz", logits=logits.numpy(), labels=labels.numpy())
    scaled = evaluate("sure.npz", seed=3)["models"][0]["temperature"]
    folds = fold_of(torch.arange(1000), 3)
    assert folds.bincount(minlength=FOLDS).min() > 150
    after = torch.empty(1000, 4, dtype=torch.float64)
    for fold, temperature in enumerate(scaled["temperatures"]):
        inside = folds == fold
        assert temperature == pytest.approx(
            float(TemperatureScaling().fit(logits[~inside], labels[~inside]).temperature)
        )
        after[inside] = (logits[inside] / torch.tensor(temperature).float()).double().softmax(1)
    assert all(scaled["converged"])
    assert len({*scaled["temperatures"]}) == FOLDS
    expected = literally(after.tolist(), labels.tolist())
    found = {name: scaled["metrics"][name]["value"] for name in expected}
    assert found == pytest.approx(expected, abs=1e-6)
    low, high = scaled["changes"]["nll"]["interval"]
    assert low < scaled["changes"]["nll"]["value"] < high < 0


def test_probabilities_are_scaled_as_their_logits_are(evaluate):
    logits, labels = simulate()
    np.savez("logits.npz", logits=logits.double().numpy(), labels=labels.numpy())
    np.savez("probs.npz", probs=logits.double().softmax(1).numpy(), labels=labels.numpy())
    by_logits, by_probs = (evaluate(f"{kind}.npz")["models"][0]["temperature"] for kind in ("logits", "probs"))
    assert by_probs["temperatures"] == pytest.approx(by_logits["temperatures"], rel=1e-5)
    assert by_probs["metrics"]["ece"]["value"] == pytest.approx(by_logits["metrics"]["ece"]["value"], abs=1e-5)


def test_a_label_of_probability_0_makes_nll_infinite_and_is_left_out_of_the_fit(evaluate):
    logits, labels = simulate(200)
    probs = logits.double().softmax(1)
    probs[7] = 0.0
    probs[7, (int(labels[7]) + 1) % 4] = 1.0
    np.savez("zero.npz", probs=probs.numpy(), labels=labels.numpy())
    np.savez("other.npz", probs=logits.double().softmax(1).numpy(), labels=labels.numpy())
    said = evaluate("zero.npz", against=("other.npz",))
    model = said["models"][0]
    # JSON knows no infinity
    assert model["metrics"]["nll"]["value"] is None
    assert "infinite" in model["metrics"]["nll"]["why"]
    assert model["rows_with_probability_zero"] == 1
    assert "1 row gives its own label the probability 0" in model["notes"][0]
    assert all(model["temperature"]["converged"])
    assert model["metrics"]["brier"]["interval"] is not None
    nll = next(difference for difference in said["differences"] if difference["metric"] == "nll")
    assert nll["p"] is nll["adjusted"] is nll["interval"] is None
    assert not nll["significant"]


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_narrow_types_are_read_as_they_are(evaluate, dtype):
    logits, labels = simulate(300)
    probs = logits.softmax(1).numpy().astype(dtype)
    np.savez("narrow.npz", probs=probs, labels=labels.numpy().astype(np.int16))
    expected = literally(probs.astype(float).tolist(), labels.tolist())
    assert {name: values(evaluate("narrow.npz"))[name] for name in expected} == pytest.approx(expected, abs=1e-9)


def test_two_classes_one_of_which_never_occurs(evaluate):
    np.savez("two.npz", probs=np.tile([[0.75, 0.25]], (40, 1)), labels=np.zeros(40, dtype=int))
    model = evaluate("two.npz")["models"][0]
    assert model["metrics"]["ece"]["value"] == 0.25
    assert model["metrics"]["brier"]["value"] == pytest.approx(0.125)
    assert "top5_accuracy" not in model["metrics"]
    assert model["metrics"]["misclassification_auroc"]["value"] is None
    assert "requires both right and wrong rows" in model["metrics"]["misclassification_auroc"]["why"]
    never = model["classes"][1]
    assert (never["labels"], never["predicted"], never["recall"], never["confidence"]) == (0, 0, None, None)
    assert never["ece"] == pytest.approx(0.25)
    # no label is ever wrong: the lowest temperature is the best, and it is said not to be a minimum
    assert not any(model["temperature"]["converged"])


def test_rows_of_one_confidence_have_a_curve_and_bins(evaluate):
    # between the points that a curve over all confidences would be drawn at, and calibrated: no kernel is wide
    labels = (np.arange(1000) >= 752).astype(int)
    np.savez("flat.npz", probs=np.tile([[0.752, 0.248]], (1000, 1)), labels=labels)
    model = evaluate("flat.npz")["models"][0]
    curve = model["reliability"]["smooth"]
    assert curve["accuracy"] == pytest.approx(curve["confidence"], abs=1e-6)
    assert all(0.74 < confidence < 0.76 for confidence in curve["confidence"])
    assert len(curve["confidence"]) > 0
    (filled,) = [entry for entry in model["reliability"]["width"] if entry["count"]]
    assert (filled["count"], filled["accuracy"]) == (1000, 0.752)
    (filled,) = model["reliability"]["mass"]
    assert filled["count"] == 1000


def test_one_row(evaluate):
    np.savez("one.npz", logits=np.array([[0.0, math.log(3)]]), labels=[1])
    found = values(evaluate("one.npz"))
    assert found["accuracy"] == 1
    assert found["nll"] == pytest.approx(math.log(4 / 3))
    assert found["ece"] == pytest.approx(0.25)


@pytest.mark.parametrize("right", [True, False])
def test_rows_of_one_outcome_say_nothing_of_the_other(evaluate, right):
    labels = np.arange(50) % 2
    top = np.linspace(0.99, 0.999, 50)
    held = labels if right else 1 - labels
    np.savez("sure.npz", probs=np.where(np.arange(2) == held[:, None], top[:, None], 1 - top[:, None]), labels=labels)
    model = evaluate("sure.npz")["models"][0]
    accuracy = model["metrics"].pop("accuracy")
    # Wilson: 50 / (50 + z^2), and its mirror image
    reach = 50 / (50 + 1.959964**2)
    assert accuracy["interval"] == pytest.approx([reach, 1] if right else [0, 1 - reach])
    for name, metric in model["metrics"].items():
        assert metric["interval"] is None, name
        assert "every row is" in metric["why"] or "requires both right and wrong rows" in metric["why"]


def test_the_page_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_by_hand()
    results = evaluate_predictions(predictions="hand.csv", output="my/page")
    folder = Path("my/page")
    assert results.page == folder / "index.html"
    assert results.command == "softtargets evaluate hand.csv --output my/page --seed 0"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert sorted(before) == ["classes.csv", "confusion.csv", "evaluation.json", "index.html"]
    assert before["evaluation.json"] == as_json(results)

    def broken(results: Any) -> str:
        raise MemoryError

    monkeypatch.setattr(page, "_page", broken)
    write_csv("hand.csv", [["probs_0", "probs_1", "labels"], [0.5, 0.5, 0]])
    with pytest.raises(MemoryError):
        evaluate_predictions(predictions="hand.csv", output=folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_without_an_output_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_by_hand()
    evaluate_predictions(predictions="hand.csv")
    evaluate_predictions(predictions=EvaluateRequest.parse(("hand.csv",)))
    assert [path.name for path in tmp_path.iterdir()] == ["hand.csv"]
    evaluate_predictions(predictions=EvaluateRequest.parse(("hand.csv",), output=Path("named")))
    assert Path("named/index.html").exists()


def test_a_folder_that_may_not_be_written_is_refused_before_anything_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # whoever runs this may be allowed everything
    monkeypatch.setattr(job.os, "access", lambda place, mode: place != tmp_path)
    with pytest.raises(PermissionError, match=re.escape(str(tmp_path))):
        evaluate_predictions(predictions="not-there.npz", output="new/page")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["logits", "probs"])
@pytest.mark.parametrize("convert", [np.asarray, torch.from_numpy], ids=["numpy", "tensors"])
def test_arrays_give_the_numbers_of_the_same_arrays_in_a_file(tmp_path, monkeypatch, kind, convert):
    monkeypatch.chdir(tmp_path)
    scores, labels = simulate(300, 6)
    noisy = scores + torch.randn(scores.shape, generator=torch.Generator().manual_seed(1))
    arrays = {name: (z if kind == "logits" else z.softmax(1)).numpy() for name, z in {"a": scores, "b": noisy}.items()}
    for name, array in arrays.items():
        write_arrays(f"{name}.npz", {kind: array, "labels": labels.numpy()})
    options = EvaluationOptions(seed=3, n_draws=20, name="a")
    given: dict[str, Any] = {kind: convert(arrays["a"]), "labels": convert(labels.numpy())}
    of_arrays = evaluate_predictions(**given, against={"b": convert(arrays["b"])}, output="page", options=options)
    of_files = evaluate_predictions(predictions="a.npz", against={"b": "b.npz"}, options=replace(options, name=None))
    models = tuple(replace(model, files=()) for model in of_files.models)
    assert replace(of_arrays, page=None) == replace(of_files, command="", models=models)
    assert hash(replace(of_arrays, page=None)) == hash(replace(of_files, command="", models=models))
    assert of_files.command == "softtargets evaluate a.npz --against b=b.npz --seed 3"
    assert Path("page/evaluation.json").read_bytes() == as_json(of_arrays)


def test_arrays_in_files_may_have_other_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_arrays("a.npz", {"scores": np.array([[2.0, 1.0], [1.0, 2.0]]), "y": np.array([0, 0])})
    results = evaluate_predictions(predictions="a.npz", logits="scores", labels="y")
    assert results.main.metrics[0].value == 0.5
    assert results.command == "softtargets evaluate a.npz --logits scores --labels y --seed 0"


def test_names_of_classes_are_those_of_the_options():
    options = EvaluationOptions(class_names=("cat", "dog"), name="mine")
    results = evaluate_predictions([[0.9, 0.1], [0.2, 0.8]], [0, 0], options=options)
    assert (results.main.name, results.class_name(1)) == ("mine", "dog")
    assert results.main.metrics[0].value == 0.5


def test_progress_is_told_by_stage():
    stages: list[tuple[str, int, int | None]] = []
    options = EvaluationOptions(n_draws=2, on_rows=lambda *state: stages.append(state))
    logits, labels = simulate(30)
    evaluate_predictions(logits=logits, labels=labels, options=options)
    assert stages == [
        ("reading", 0, 30),
        ("reading", 30, 30),
        ("fitting temperatures", 0, None),
        ("evaluating temperatures", 0, 30),
        ("evaluating temperatures", 30, 30),
        ("computing intervals", 0, None),
    ]


PROBS, LABELS = np.full((3, 2), 0.5), np.zeros(3, dtype=int)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "probs: either probs or logits; got neither; pass one of them, or files as predictions"),
        ({"labels": LABELS}, "probs: either probs or logits; got neither; pass one of them, or files as predictions"),
        ({"probs": PROBS, "logits": PROBS, "labels": LABELS}, "probs: .* got both"),
        ({"probs": PROBS}, "labels: one class index for each row; got none"),
        ({"probs": PROBS, "labels": LABELS, "against": {"predictions": PROBS}}, "against: a unique name"),
        ({"probs": PROBS, "labels": LABELS, "output": __file__}, "output: the path of a folder; got the file"),
        ({"predictions": "a.npz", "labels": LABELS}, "labels: a name in the files, .* got ndarray"),
        ({"predictions": "a.npz", "probs": PROBS}, "probs: a name in the files, .* got ndarray"),
        (
            {"predictions": "a.npz", "options": EvaluationOptions(class_names=("a", "b"))},
            "options.class_names: nothing beside predictions",
        ),
        ({"predictions": []}, "predictions: at least one path; got none"),
        (
            {"predictions": EvaluateRequest.parse(("a.npz",)), "against": {"b": "b.npz"}},
            "against: nothing beside predictions",
        ),
        ({"predictions": EvaluateRequest.parse(("a.npz",)), "probs": "p"}, "probs: nothing beside predictions"),
        ({"predictions": "no-such-file.npz"}, "predictions: an existing file; got 'no-such-file.npz'"),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(arguments, words):
    with pytest.raises(InputError, match=words):
        evaluate_predictions(**arguments)


def test_other_models_are_a_mapping() -> None:
    probs, labels = torch.full((4, 2), 0.5), torch.tensor([0, 1, 0, 1])
    with pytest.raises(TypeError, match="against: a mapping from names to predictions; got Tensor"):
        evaluate_predictions(probs, labels, against=probs)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"options": {}}, r"options: EvaluationOptions; got dict; write EvaluationOptions\(seed=1\)"),
        ({"options": 3}, "options: EvaluationOptions; got int"),
        ({"output": 3}, "output: a path"),
        ({"probs": None, "labels": None, "predictions": torch.ones(2, 2)}, "predictions: paths of files; got Tensor"),
        ({"probs": None, "labels": None, "predictions": 3}, "predictions: a path or a list of paths; got int"),
        ({"probs": None, "labels": None, "predictions": "a.npz", "against": {"b": 3}}, r"against\['b'\]: a path or"),
    ],
)
def test_arguments_of_the_wrong_type_are_refused(arguments, words):
    with pytest.raises(TypeError, match=words):
        evaluate_predictions(**{"probs": PROBS, "labels": LABELS, **arguments})


@pytest.mark.parametrize("given", [{"seed": -1}, {"seed": 1.5}, {"n_draws": 0}, {"n_draws": 2**20}, {"seed": True}])
def test_options_out_of_range_are_refused(given):
    with pytest.raises(InputError, match=f"{next(iter(given))}: a whole number in"):
        EvaluationOptions(**given)


def test_names_with_equals_signs_and_slashes_are_taken_as_they_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("m.npz", "o.npz"):
        write_arrays(name, {"probs": PROBS, "labels": LABELS})
    results = evaluate_predictions(predictions="m.npz", against={"lr=0.1": "o.npz", "x/y": Path("o.npz")})
    assert [model.name for model in results.models] == ["m", "lr=0.1", "x/y"]
    assert results.command == ""


def test_a_home_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write_arrays(str(tmp_path / "m.npz"), {"probs": PROBS, "labels": LABELS})
    results = evaluate_predictions(predictions="~/m.npz", output="~/page")
    assert results.page == tmp_path / "page" / "index.html"
    assert (tmp_path / "page" / "index.html").exists()


def test_results_are_plain_data_and_can_be_hashed():
    results = evaluate_predictions(PROBS, LABELS)
    assert json.loads(json.dumps(results.to_dict(), allow_nan=False)) == results.to_dict()
    assert results.to_dict()["models"][0]["metrics"]["accuracy"]["value"] == 1.0
    assert {results: 1}[results] == 1
