"""`evaluate` on predictions of several makes: its numbers by hand, what it refuses, and that cuts change nothing."""

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from softtargets._errors import InputError
from softtargets.calibration import Temperature
from softtargets.evaluate import gauges as evaluate_gauges
from softtargets.evaluate import job as workflow
from softtargets.evaluate import page
from softtargets.evaluate.files import as_json
from softtargets.evaluate.job import evaluate_predictions, run_evaluate
from softtargets.evaluate.request import EvaluateRequest
from softtargets.evaluate.temperature import FOLDS, fold_of

DRAWS = 50

Evaluate = Callable[..., dict[str, Any]]

# Of three classes; the predicted one is right in rows 0, 2 and 3.
BY_HAND = [
    ((0.7, 0.2, 0.1), 0),
    ((0.5, 0.3, 0.2), 1),
    ((0.1, 0.8, 0.1), 1),
    ((0.2, 0.2, 0.6), 2),
    ((0.4, 0.5, 0.1), 0),
]


@pytest.fixture
def evaluate(tmp_path, monkeypatch) -> Evaluate:
    """Return a function that evaluates files in a folder of its own and returns what evaluation.json would say."""
    monkeypatch.chdir(tmp_path)
    # what intervals cost goes with the groups and the draws, and not with the rows
    monkeypatch.setattr(evaluate_gauges, "FEWER", 50)

    def run(*predictions: str, draws: int = DRAWS, **settings: Any) -> dict[str, Any]:
        return json.loads(as_json(evaluate_predictions(EvaluateRequest(predictions, **settings), draws=draws)))

    return run


def values(said: dict[str, Any], model: int = 0) -> dict[str, float | None]:
    return {name: metric["value"] for name, metric in said["models"][model]["metrics"].items()}


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


def simulate(size: int = 1000, num_classes: int = 4, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return logits that are surer than they may be, and labels."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(size, num_classes, generator=generator)
    return logits, torch.multinomial((logits / 1.5).softmax(1), 1, generator=generator)[:, 0]


def write_arrays(name: str, content: dict[str, Any]) -> None:
    np.savez(name, **content)


def write_csv(name: str, rows: list[list[Any]]) -> None:
    with Path(name).open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def write_by_hand(name: str = "hand.csv") -> None:
    write_csv(name, [["probs_cat", "probs_dog", "probs_eel", "labels"], *([*p, y] for p, y in BY_HAND)])


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
    assert found["error_auroc"] == 1
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
        assert temperature == pytest.approx(float(Temperature.fit(logits[~inside], labels[~inside]).temperature))
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
    assert not nll["real"]


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
    assert model["metrics"]["error_auroc"]["value"] is None
    assert "right rows and wrong ones" in model["metrics"]["error_auroc"]["why"]
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


def without_names(said: dict[str, Any]) -> dict[str, Any]:
    """Return what an evaluation says, less names of files and models and the command."""
    del said["command"]
    for model in said["models"]:
        del model["name"], model["files"]
    for difference in said["differences"]:
        del difference["against"]
    return said


def test_shards_say_what_one_file_says_to_the_last_bit(evaluate):
    logits, labels = simulate(1000, 6)
    other = (logits + torch.randn(1000, 6, generator=torch.Generator().manual_seed(1))).softmax(1)
    whole = {"logits": logits.numpy(), "labels": labels.numpy()}
    write_arrays("whole.npz", whole)
    np.savez("other.npz", probs=other.numpy(), labels=labels.numpy())
    cuts = {"a": (0, 1), "b": (1, 700), "c": (700, 1000)}
    for name, (start, end) in cuts.items():
        write_arrays(f"shard-{name}.npz", {key: array[start:end] for key, array in whole.items()})
    for name, (start, end) in {"1": (0, 333), "2": (333, 1000)}.items():
        np.savez(f"cut-{name}.npz", probs=other[start:end].numpy(), labels=labels[start:end].numpy())
    one = evaluate("whole.npz", against=("other.npz",))
    shards = evaluate("shard-a.npz", "shard-b.npz", "shard-c.npz", against=("cut=cut-*.npz",))
    assert [model["name"] for model in shards["models"]] == ["shard-a", "cut"]
    assert without_names(one) == without_names(shards)


def test_rows_beyond_the_first_chunk_are_the_same_rows(evaluate, monkeypatch):
    from softtargets.data.predictions import PredictionFiles

    logits, labels = simulate(500)
    np.savez("all.npz", logits=logits.numpy(), labels=labels.numpy())
    one = evaluate("all.npz")
    chunks = PredictionFiles.chunks
    monkeypatch.setattr(PredictionFiles, "chunks", lambda self: chunks(self, 37))
    assert without_names(evaluate("all.npz")) == without_names(one)


def differences(said: dict[str, Any], against: str) -> dict[str, dict[str, Any]]:
    return {entry["metric"]: entry for entry in said["differences"] if entry["against"] == against}


def test_a_better_model_is_really_better(evaluate, monkeypatch):
    # draws of each interval, and as many times more for as many p-values
    monkeypatch.setattr(workflow, "_PER_DRAWS", 1)
    logits, labels = simulate(2000)
    noisy = logits + 3 * torch.randn(logits.shape, generator=torch.Generator().manual_seed(1))
    for name, scores in {"good": logits, "bad": noisy}.items():
        np.savez(f"{name}.npz", logits=scores.numpy(), labels=labels.numpy())
    found = differences(evaluate("good.npz", against=("worse=bad.npz",)), "worse")
    by_hand = [float((scores.argmax(1) == labels).double().mean()) for scores in (logits, noisy)]
    accuracy = found["accuracy"]
    assert accuracy["value"] == pytest.approx(by_hand[0] - by_hand[1])
    assert accuracy["real"]
    assert accuracy["interval"][0] > 0
    # the least that 9 * 50 draws can show, for the eight of nine metrics that four classes have
    assert accuracy["p"] == 2 / 451
    assert accuracy["adjusted"] == pytest.approx(8 * 2 / 451)
    assert list(found) == ["accuracy", "nll", "brier", "ece", "ece_mass", "smooth_ece", "aurc", "error_auroc"]


def test_a_difference_that_sketches_cannot_tell_from_none_is_not_real(evaluate, monkeypatch):
    monkeypatch.setattr(workflow, "_PER_DRAWS", 1)
    # confidences so close together that a sketch takes them for one: the order in which errors stand is not known to it
    rows, labels = np.arange(2000), np.zeros(2000, dtype=int)
    rest = 1e-14 * (1 + rows % 100)
    for name, wrong in {"few": rows < 200, "many": rows < 300}.items():
        top = np.stack([np.where(wrong, rest, 1 - rest), np.where(wrong, 1 - rest, rest)], 1)
        np.savez(f"{name}.npz", probs=top, labels=labels)
    said = evaluate("few.npz", against=("many.npz",))
    aurc = differences(said, "many")["aurc"]
    bounds = sum(model["metrics"]["aurc"]["bound"] for model in said["models"])
    assert 0 < abs(aurc["value"]) < bounds
    assert aurc["adjusted"] < 0.05
    assert not aurc["real"]
    assert "sketches, which may be off by as much" in aurc["why"]


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
        assert "every row is" in metric["why"] or "needs right rows and wrong ones" in metric["why"]


def test_an_equal_model_is_not_and_makes_the_others_harder_to_tell_apart(evaluate):
    logits, labels = simulate(300)
    noisy = logits + 3 * torch.randn(logits.shape, generator=torch.Generator().manual_seed(1))
    for name, scores in {"good": logits, "bad": noisy, "same": logits}.items():
        np.savez(f"{name}.npz", logits=scores.numpy(), labels=labels.numpy())
    said = evaluate("good.npz", against=("same.npz", "bad.npz"))
    assert [model["name"] for model in said["models"]] == ["good", "same", "bad"]
    for same in differences(said, "same").values():
        assert (same["value"], same["p"], same["adjusted"], same["real"]) == (0, 1, 1, False)
    bad = differences(said, "bad").values()
    assert min(entry["adjusted"] for entry in bad) == pytest.approx(16 * min(entry["p"] for entry in bad))


def test_the_other_models_labels_must_be_the_same_row_by_row(evaluate):
    logits, labels = simulate(60)
    np.savez("a.npz", logits=logits.numpy(), labels=labels.numpy())
    changed = labels.clone()
    changed[41] = (labels[41] + 1) % 4
    for name, rows in {"b-1": slice(0, 40), "b-2": slice(40, 60)}.items():
        np.savez(f"{name}.npz", logits=logits[rows].numpy(), labels=changed[rows].numpy())
    with pytest.raises(InputError, match=r"--against: the labels .* row 41; got \d in b-2\.npz, row 1; compare"):
        evaluate("a.npz", against=("b=b-*.npz",))


def test_labels_that_one_model_lacks_are_the_other_ones(evaluate):
    logits, labels = simulate(60)
    np.savez("with.npz", logits=logits.numpy(), labels=labels.numpy())
    np.savez("without.npz", logits=logits.numpy())
    said = evaluate("without.npz", against=("with.npz",))
    assert values(said, 0) == values(said, 1)
    assert "no labels in its files: its rows are taken for those of with" in said["models"][0]["notes"][0]
    with pytest.raises(
        InputError, match=r"predictions: labels in the files or beside them; got none; add .* --labels-from"
    ):
        evaluate("without.npz")


def test_labels_from_a_file_of_their_own_count_for_all(evaluate):
    logits, labels = simulate(60)
    np.savez("a.npz", logits=logits.numpy(), labels=np.zeros(60, dtype=int))
    np.savez("b.npz", logits=logits.numpy())
    write_csv("truth.csv", [["labels", "other"], *([int(y), 0] for y in labels)])
    write_csv("named.csv", [["class"], *([int(y)] for y in labels)])
    expected = float((logits.argmax(1) == labels).double().mean())
    for place in ("truth.csv", "truth.csv:labels", "named.csv:class"):
        said = evaluate("a.npz", against=("b.npz",), labels_from=place)
        assert values(said, 0)["accuracy"] == values(said, 1)["accuracy"] == pytest.approx(expected)
    with pytest.raises(InputError, match="--labels-from: no --labels beside it"):
        evaluate("a.npz", labels_from="truth.csv", labels="labels")


def test_a_table_whose_rows_are_known_at_the_end_alone_is_compared(evaluate):
    write_by_hand()
    np.savez("short.npz", probs=np.array([p for p, _ in BY_HAND[:4]]), labels=[y for _, y in BY_HAND[:4]])
    np.savez("equal.npz", probs=np.array([p for p, _ in BY_HAND]), labels=[y for _, y in BY_HAND])
    said = evaluate("hand.csv", against=("equal.npz",))
    assert values(said, 0) == values(said, 1)
    for first, second in (("hand.csv", "short.npz"), ("short.npz", "hand.csv")):
        with pytest.raises(InputError, match="--against: as many rows as"):
            evaluate(first, against=(second,))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda a: a["probs"].__setitem__((3, 1), np.nan), r"nan in bad\.npz, row 3, class 1"),
        (lambda a: a["probs"].__setitem__(3, [0.5, 0.5, 0.5, 0.0]), r"a sum of 1\.5 in bad\.npz, row 3"),
        (lambda a: a["labels"].__setitem__(3, 4), r"4 as 'labels' in bad\.npz, row 3"),
        (lambda a: a.__setitem__("labels", a["labels"][:3]), "9 labels, one for each row"),
    ],
)
def test_a_bad_row_is_refused_by_its_file_and_number_and_nothing_is_left(tmp_path, monkeypatch, spoil, words):
    monkeypatch.chdir(tmp_path)
    logits, labels = simulate(9)
    content = {"probs": logits.softmax(1).numpy(), "labels": labels.numpy()}
    write_arrays("good.npz", content)
    spoil(content)
    write_arrays("bad.npz", content)
    for request in (EvaluateRequest(("good.npz", "bad.npz")), EvaluateRequest(("good.npz",), against=("bad.npz",))):
        with pytest.raises(InputError, match=words):
            run_evaluate(request)
    assert sorted(path.name for path in Path().iterdir()) == ["bad.npz", "good.npz"]


def test_the_page_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_by_hand()
    request = EvaluateRequest(("hand.csv",))
    outcome = run_evaluate(request)
    assert outcome.page == Path("reports/evaluate-hand/index.html")
    before = {path.name: path.read_bytes() for path in outcome.page.parent.iterdir()}
    assert sorted(before) == ["classes.csv", "evaluation.json", "index.html"]
    assert before["evaluation.json"] == as_json(outcome.results)

    def broken(results: Any) -> str:
        raise MemoryError

    monkeypatch.setattr(page, "_page", broken)
    write_csv("hand.csv", [["probs_0", "probs_1", "labels"], [0.5, 0.5, 0]])
    with pytest.raises(MemoryError):
        run_evaluate(request)
    assert {path.name: path.read_bytes() for path in outcome.page.parent.iterdir()} == before


def test_a_file_of_a_name_that_others_have_is_named_by_its_place(evaluate):
    logits, labels = simulate(9)
    for name in ("one", "two"):
        Path(name).mkdir()
        np.savez(f"{name}/held.npz", logits=logits.numpy(), labels=labels.numpy())
        logits[3, 1] = torch.nan
    with pytest.raises(InputError, match=r"nan in two/held\.npz, row 3, class 1"):
        evaluate("one/held.npz", against=("two/held.npz",))


def test_models_of_other_classes_are_not_compared(evaluate):
    write_by_hand()
    logits, labels = simulate(5)
    np.savez("four.npz", logits=logits.numpy(), labels=labels.numpy())
    write_csv("order.csv", [["probs_dog", "probs_cat", "probs_eel", "labels"], *([*p, y] for p, y in BY_HAND)])
    with pytest.raises(InputError, match="--against: 3 classes, as hand has; got 4 in four"):
        evaluate("hand.csv", against=("four.npz",))
    with pytest.raises(
        InputError, match="--against: the classes in the order of hand: cat, dog, eel; got dog, cat, eel"
    ):
        evaluate("hand.csv", against=("order.csv",))
