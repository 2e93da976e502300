"""Class tables, against slow loops and within the algebra of targets."""

from typing import Any

import pytest
import torch
from reference import rules as reference

from softtargets import losses, targets
from softtargets._checks import check_stochastic
from softtargets.matrices import LabelMatrix, Transition

DISTANCE = torch.tensor([[0.0, 1, 2, 2], [1, 0, 2, 2], [2, 2, 0, 1], [2, 2, 1, 0]], dtype=torch.float64)
COUNTS = torch.tensor([[9, 3, 1, 0], [0, 5, 0, 0], [2, 2, 7, 4], [1, 0, 0, 0]])
TEXTS = ["The match: a goal!", "A match of chess, a goal", "a star and a star", "the star", "a planet"]
CLASSES = [0, 1, 2, 2, 3]
LABELS = torch.tensor([0, 1, 2, 3, 0])


def tables() -> dict[str, torch.Tensor]:
    return {
        "hierarchical": targets.hierarchical_table(DISTANCE, sharpness=1.5),
        "localized": targets.localized_table(4, smoothing=0.3, width=2),
        "confusion": targets.confusion_table(COUNTS, smoothing=0.3),
        "tfidf": targets.tfidf_table(TEXTS, CLASSES, num_classes=4, smoothing=0.3, temperature=0.2),
    }


@pytest.mark.parametrize("name", sorted(tables()))
def test_a_table_is_targets_a_smearing_and_a_transition(name: str) -> None:
    table = tables()[name]
    check_stochastic("table", table)
    logits = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    log_probs = logits.log_softmax(-1)
    loss = losses.cross_entropy(logits, targets.from_table(LABELS, table, strict=True))
    torch.testing.assert_close(loss, -(table[LABELS] * log_probs).sum(-1), rtol=0, atol=1e-12)
    smeared = losses.cross_entropy(logits, targets.from_table(LABELS, LabelMatrix(4, table=table)))
    assert torch.equal(smeared, loss)
    forward = losses.forward_corrected_cross_entropy(logits, LABELS, table)
    torch.testing.assert_close(forward, -(log_probs.exp() @ table).gather(1, LABELS[:, None])[:, 0].log())
    there = targets.backward_corrected(LABELS, Transition.wrap(table)).to_dense() @ table
    torch.testing.assert_close(there, torch.eye(4, dtype=torch.float64)[LABELS], rtol=0, atol=1e-9)
    again = targets.smooth(targets.from_table(LABELS, table), 0.2).to_dense()
    torch.testing.assert_close(again, 0.8 * table[LABELS] + 0.05, rtol=0, atol=1e-12)


@pytest.mark.parametrize("sharpness", [0.0, 0.7, 4.0])
def test_hierarchical(sharpness: float) -> None:
    made = targets.hierarchical_table(DISTANCE, sharpness=sharpness)
    expected = reference.hierarchical(DISTANCE.tolist(), sharpness) if sharpness else [[0.25] * 4] * 4
    torch.testing.assert_close(made.tolist(), expected, rtol=0, atol=1e-12)


def test_a_sharp_hierarchy_is_hard_and_a_flat_one_is_smoothing() -> None:
    assert torch.equal(targets.hierarchical_table(DISTANCE, sharpness=1e4), torch.eye(4, dtype=torch.float64))
    flat = targets.hierarchical_table(1 - torch.eye(4, dtype=torch.float64), sharpness=2.0)
    rate = float(3 / (torch.tensor(2.0).double().exp() + 3))
    same = targets.smooth(LABELS, rate, num_classes=4, convention="others")
    torch.testing.assert_close(flat[LABELS], same.to_dense(4), rtol=0, atol=1e-15)


def test_a_hierarchy_takes_rows_where_distances_are_not_symmetric() -> None:
    distance = torch.tensor([[0.0, 1.0], [3.0, 0.0]])
    made = targets.hierarchical_table(distance, sharpness=1.0)
    torch.testing.assert_close(made.tolist(), reference.hierarchical(distance.tolist(), 1.0), rtol=0, atol=1e-6)
    assert targets.hierarchical_table(distance.bfloat16(), sharpness=1.0).dtype == torch.float32


@pytest.mark.parametrize("width", [1, 2, 5])
@pytest.mark.parametrize("smoothing", [0.0, 0.3, 1.0])
def test_localized(smoothing: float, width: int) -> None:
    made = targets.localized_table(6, smoothing=smoothing, width=width)
    torch.testing.assert_close(made.tolist(), reference.localized(6, smoothing, width), rtol=0, atol=1e-15)


def test_all_neighbours_are_the_others() -> None:
    same = targets.smooth(LABELS, 0.3, num_classes=4, convention="others").to_dense(4)
    for width in (3, 10):
        made = targets.localized_table(4, smoothing=0.3, width=width)[LABELS]
        torch.testing.assert_close(made, same, rtol=0, atol=1e-15)


@pytest.mark.parametrize("smoothing", [0.0, 0.3, 1.0])
def test_confusion(smoothing: float) -> None:
    expected = reference.confusion(COUNTS.tolist(), smoothing)
    torch.testing.assert_close(
        targets.confusion_table(COUNTS, smoothing=smoothing).tolist(), expected, rtol=0, atol=1e-15
    )
    made = targets.confusion_table(COUNTS.float(), smoothing=smoothing)
    torch.testing.assert_close(made.tolist(), expected, rtol=0, atol=1e-15)


def test_equal_confusions_are_the_others() -> None:
    same = targets.smooth(LABELS, 0.3, num_classes=4, convention="others").to_dense(4)
    for counts in (torch.ones(4, 4), torch.zeros(4, 4, dtype=torch.int64), 5 * torch.eye(4)):
        made = targets.confusion_table(counts, smoothing=0.3)[LABELS]
        torch.testing.assert_close(made, same, rtol=0, atol=1e-15)


@pytest.mark.parametrize("name", ["localized", "confusion", "tfidf"])
def test_no_smoothing_is_the_identity(name: str) -> None:
    made = {
        "localized": targets.localized_table(4, smoothing=0.0, width=1),
        "confusion": targets.confusion_table(COUNTS, smoothing=0.0),
        "tfidf": targets.tfidf_table(TEXTS, CLASSES, num_classes=4, smoothing=0.0),
    }[name]
    assert torch.equal(made, torch.eye(4, dtype=torch.float64))


def test_tfidf() -> None:
    documents = [
        ["the", "match", "a", "goal"],
        ["a", "match", "of", "chess", "a", "goal"],
        ["a", "star", "and", "a", "star", "the", "star"],
        ["a", "planet"],
    ]
    weights = reference.class_tf_idf(documents)
    expected = []
    for y, own in enumerate(weights):
        spread = reference.tempered([reference.cosine(own, other) for other in weights], 0.2)
        expected.append([0.7 * (k == y) + 0.3 * share for k, share in enumerate(spread)])
    made = targets.tfidf_table(TEXTS, CLASSES, num_classes=4, smoothing=0.3, temperature=0.2)
    torch.testing.assert_close(made.tolist(), expected, rtol=0, atol=1e-12)
    assert made[0, 1] > made[0, 2] > made[0, 3] > 0, "matches and goals are near chess; nothing is near planets"


def test_tfidf_in_the_convention_others_gives_the_label_no_smoothing() -> None:
    given = {"num_classes": 4, "smoothing": 0.3, "temperature": 0.2}
    over_all = targets.tfidf_table(TEXTS, CLASSES, **given)
    made = targets.tfidf_table(TEXTS, CLASSES, **given, convention="others")
    assert made.diag().tolist() == pytest.approx([0.7] * 4, abs=1e-15)
    # the same shares as over all classes, without the label's
    off = over_all - over_all.diag().diag()
    torch.testing.assert_close(made - 0.7 * torch.eye(4).double(), 0.3 * off / off.sum(1, keepdim=True))
    hot = targets.tfidf_table(TEXTS, CLASSES, num_classes=4, smoothing=0.3, temperature=1e9, convention="others")
    same = targets.smooth(LABELS, 0.3, num_classes=4, convention="others").to_dense()
    torch.testing.assert_close(hot[LABELS], same, rtol=0, atol=1e-9)


def test_a_high_temperature_and_a_class_without_texts_are_smoothed_evenly() -> None:
    hot = targets.tfidf_table(TEXTS, CLASSES, num_classes=4, smoothing=0.3, temperature=1e9)
    same = targets.smooth(LABELS, 0.3).to_dense(4)
    torch.testing.assert_close(hot[LABELS], same, rtol=0, atol=1e-9)
    empty = targets.tfidf_table(TEXTS, torch.tensor(CLASSES), num_classes=5, smoothing=0.5, temperature=0.1)
    assert empty[4].tolist() == pytest.approx([0.1] * 4 + [0.6], abs=1e-15)


WRONG: list[tuple[str, Any, str]] = [
    (
        "labels that are no ints",
        lambda: targets.tfidf_table(["a", "b"], [0.9, 1.2], num_classes=2, smoothing=0.1),  # pyright: ignore
        r"labels: integer labels .*; got dtype torch.float32; .*use labels.long\(\)",
    ),
    (
        "convention",
        lambda: targets.tfidf_table(["a", "b"], [0, 1], num_classes=2, smoothing=0.1, convention="keras"),
        "convention: .*'keras'",
    ),
    (
        "a negative distance",
        lambda: targets.hierarchical_table(DISTANCE - 1, sharpness=1.0),
        r"distance: entries of at least 0; got -1 at index \(0, 0\); fix that entry",
    ),
    ("not square", lambda: targets.hierarchical_table(DISTANCE[:2], sharpness=1.0), r"distance: a \(K, K\) matrix"),
    (
        "negative",
        lambda: targets.hierarchical_table(DISTANCE, sharpness=-1.0),
        "sharpness: a finite number of at least 0; got -1",
    ),
    ("endless", lambda: targets.hierarchical_table(DISTANCE, sharpness=float("inf")), "sharpness: .*; got inf"),
    ("width", lambda: targets.localized_table(4, smoothing=0.1, width=0), "width: an int of at least 1; got 0"),
    ("smoothing", lambda: targets.localized_table(4, smoothing=1.1, width=1), r"smoothing: in \[0, 1\]; got 1.1"),
    ("one class", lambda: targets.localized_table(1, smoothing=0.1, width=1), "num_classes: at least 2; got 1"),
    (
        "less than none",
        lambda: targets.confusion_table(COUNTS - 1, smoothing=0.1),
        r"counts: entries .* got -1 at index \(0, 3\)",
    ),
    ("in bool", lambda: targets.confusion_table(COUNTS > 1, smoothing=0.1), "counts: a tensor of numbers; got dtype"),
    ("as a list", lambda: targets.confusion_table([[1]], smoothing=0.1), "counts: .*; got list"),  # pyright: ignore
    (
        "without a label",
        lambda: targets.tfidf_table(TEXTS, CLASSES[:3], num_classes=4, smoothing=0.1),
        r"labels: shape \(5,\); got \(3,\)",
    ),
    ("label", lambda: targets.tfidf_table(TEXTS, CLASSES, num_classes=3, smoothing=0.1), "labels: .* got 3 at row 4"),
    (
        "cold",
        lambda: targets.tfidf_table(TEXTS, CLASSES, num_classes=4, smoothing=0.1, temperature=0.0),
        "temperature: a finite number above 0; got 0",
    ),
    (
        "one text",
        lambda: targets.tfidf_table("a text", [0], num_classes=2, smoothing=0.1),
        "texts: a sequence of texts; got one text; put it in a list",
    ),
]


@pytest.mark.parametrize(("call", "message"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_errors(call: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        call()
