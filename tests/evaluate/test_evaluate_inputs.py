"""Predictions from files: that splits change nothing, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from evaluate.evaluation_files import BY_HAND, simulate, values, write_arrays, write_by_hand, write_csv
from safetensors.torch import save_file

from softtargets._errors import InputError, InputTypeError
from softtargets.data.predictions import PredictionFiles
from softtargets.evaluate import EvaluateRequest, EvaluationOptions, evaluate_predictions


def without_names(said: dict[str, Any]) -> dict[str, Any]:
    """Return an evaluation without the names of files and models, the command and the sentences that name models."""
    del said["command"], said["findings"]
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
    logits, labels = simulate(500)
    np.savez("all.npz", logits=logits.numpy(), labels=labels.numpy())
    one = evaluate("all.npz")
    chunks = PredictionFiles.chunks
    monkeypatch.setattr(PredictionFiles, "chunks", lambda self: chunks(self, 37))
    assert without_names(evaluate("all.npz")) == without_names(one)


def test_the_other_models_labels_must_be_the_same_row_by_row(evaluate):
    logits, labels = simulate(60)
    np.savez("a.npz", logits=logits.numpy(), labels=labels.numpy())
    changed = labels.clone()
    changed[41] = (labels[41] + 1) % 4
    for name, rows in {"b-1": slice(0, 40), "b-2": slice(40, 60)}.items():
        np.savez(f"{name}.npz", logits=logits[rows].numpy(), labels=changed[rows].numpy())
    with pytest.raises(InputError, match=r"against: the labels .* row 41; got \d in b-2\.npz, row 1; compare"):
        evaluate("a.npz", against=("b=b-*.npz",))


def test_labels_that_one_model_lacks_are_the_other_ones(evaluate):
    logits, labels = simulate(60)
    np.savez("with.npz", logits=logits.numpy(), labels=labels.numpy())
    np.savez("without.npz", logits=logits.numpy())
    said = evaluate("without.npz", against=("with.npz",))
    assert values(said, 0) == values(said, 1)
    assert "no labels. Its rows are assumed to be those of with" in said["models"][0]["notes"][0]
    with pytest.raises(
        InputError, match=r"predictions: labels in the files or in a separate file; got none; add .* --labels-from"
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
    with pytest.raises(InputError, match="--labels-from: not combined with --labels"):
        evaluate("a.npz", labels_from="truth.csv", labels="labels")


def test_a_table_whose_rows_are_known_at_the_end_alone_is_compared(evaluate):
    write_by_hand()
    np.savez("short.npz", probs=np.array([p for p, _ in BY_HAND[:4]]), labels=[y for _, y in BY_HAND[:4]])
    np.savez("equal.npz", probs=np.array([p for p, _ in BY_HAND]), labels=[y for _, y in BY_HAND])
    said = evaluate("hand.csv", against=("equal.npz",))
    assert values(said, 0) == values(said, 1)
    for first, second in (("hand.csv", "short.npz"), ("short.npz", "hand.csv")):
        with pytest.raises(InputError, match="against: as many rows as"):
            evaluate(first, against=(second,))


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
    with pytest.raises(InputError, match="against: 3 classes, as hand has; got 4 in four"):
        evaluate("hand.csv", against=("four.npz",))
    with pytest.raises(InputError, match="against: the classes in the order of hand: cat, dog, eel; got dog, cat, eel"):
        evaluate("hand.csv", against=("order.csv",))


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
    for request in (
        EvaluateRequest.parse(("good.npz", "bad.npz")),
        EvaluateRequest.parse(("good.npz",), against=("bad.npz",)),
    ):
        with pytest.raises(InputError, match=words):
            evaluate_predictions(predictions=request, output="page")
    assert sorted(path.name for path in Path().iterdir()) == ["bad.npz", "good.npz"]


def test_a_truncated_shard_is_refused_and_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    logits, labels = simulate(5000)
    for name, rows in {"a": slice(0, 2500), "b": slice(2500, 5000)}.items():
        save_file({"logits": logits[rows].contiguous(), "labels": labels[rows].contiguous()}, f"{name}.safetensors")
    whole = Path("b.safetensors").read_bytes()
    Path("b.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"a file that can be read; got b\.safetensors"):
        evaluate_predictions(predictions=["a.safetensors", "b.safetensors"], output="page")
    assert not Path("page").exists()


ARRAY_PROBS = np.array([[0.75, 0.25], [0.25, 0.75], [0.5, 0.5]])
ARRAY_LABELS = np.array([0, 1, 1])


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"probs": ARRAY_PROBS[:, :1] + 1}, InputError, "probs: .*; got a sum of 1 and a minimum of -.* in row"),
        ({"probs": ARRAY_PROBS[:0]}, InputError, r"probs: shape .* got shape \(0, 2\)"),
        ({"probs": ARRAY_PROBS[:, 0], "labels": ARRAY_LABELS + 2}, InputError, "labels: .* below 2, .* got 2 in row"),
        ({"probs": ARRAY_LABELS, "labels": ARRAY_PROBS}, InputError, "probs: .*; got whole numbers.*; .*swap it with"),
        ({"labels": ARRAY_LABELS[:2]}, InputError, r"labels: shape \(3,\), one label for each row, or .*\(2,\)"),
        ({"labels": ARRAY_LABELS[:, None]}, InputError, r"labels: shape \(3,\).* got shape \(3, 1\)"),
        ({"labels": ARRAY_LABELS + 1}, InputError, "labels .* got 2 .* row 1"),
        ({"labels": ["cat", "dog", "cat"]}, InputTypeError, "labels: an array of numbers; got list"),
        ({"probs": ARRAY_PROBS * 1j}, InputTypeError, "probs: an array of numbers"),
        ({"probs": torch.tensor(ARRAY_PROBS) * 1j}, InputTypeError, "probs: an array of real numbers"),
        ({"probs": ARRAY_PROBS * np.array([[1], [np.nan], [1]])}, InputError, "probs: .* nan in row 1, class 0"),
        (
            {"probs": 5 * ARRAY_PROBS},
            InputError,
            "probs: .* a sum of 5 in row 0; divide each row by its sum, or pass logits=",
        ),
        ({"against": {"b": ARRAY_PROBS[:2]}}, InputError, "against: as many rows as predictions has, 3; got 2 in b"),
        ({"against": {"b": np.full((3, 4), 0.25)}}, InputError, "against: 2 classes, .* got 4 in b"),
        ({"against": {"b": -ARRAY_PROBS}}, InputError, r"against\['b'\]: .* in row 0"),
        (
            {"options": EvaluationOptions(class_names=("a",))},
            InputError,
            "class_names: 2 names, one for each class; got 1",
        ),
    ],
)
def test_bad_arrays_are_refused_by_name_and_row(arguments, error, words):
    with pytest.raises(error, match=words):
        evaluate_predictions(**{"probs": ARRAY_PROBS, "labels": ARRAY_LABELS, **arguments})
