"""The table of targets: every class if they are few, otherwise one column for those that are equal."""

from typing import Any

import pytest

from softtargets.doctor import diagnose


def table(library: str, snippet: Any, **settings: Any) -> tuple[tuple[str, ...], list[tuple[int | None, Any, Any]]]:
    found = diagnose(library, snippet, **settings)
    return found.columns, [(row.label, row.target, row.minimiser) for row in found.rows]


def test_few_classes_have_a_column_and_a_row_each() -> None:
    columns, rows = table("torch", "CrossEntropyLoss(label_smoothing=0.3)", num_classes=3)
    assert columns == ("class 0", "class 1", "class 2")
    assert [label for label, _, _ in rows] == [0, 1, 2]
    assert rows[1][1] == rows[1][2] == pytest.approx((0.1, 0.8, 0.1))


def test_many_classes_share_a_column() -> None:
    columns, rows = table("torch", "CrossEntropyLoss(label_smoothing=0.1)", num_classes=100)
    assert columns == ("the label", "each other class")
    assert rows == [(None, (0.901, 0.001), (0.901, 0.001))]


def test_a_class_that_is_never_a_label_has_a_column() -> None:
    columns, rows = table("opennmt", "--label_smoothing 0.1", num_classes=12, version="2.3.0")
    assert columns == ("the label", "each other class", "class 1, never a label")
    assert rows == [(None, (0.9, 0.01, 0.0), (0.9, 0.01, 0.0))]
    columns, rows = table("torch", "CrossEntropyLoss(label_smoothing=0.1, ignore_index=0)", num_classes=10)
    assert columns[2] == "class 0, never a label"
    assert rows[0][1] == pytest.approx((0.91, 0.01, 0.01))


def test_weights_of_many_classes_show_the_extremes() -> None:
    weight = [1.0, 2.0, *[4.0] * 6, 0.5, 8.0]
    columns, rows = table("torch", f"CrossEntropyLoss(weight={weight}, label_smoothing=0.1)")
    assert columns == ("the label", "least of the others", "largest of the others")
    assert [label for label, _, _ in rows] == [8, 9]
    assert rows[0][1] == pytest.approx((0.5 * 0.91, 0.01, 0.08))
    assert rows[1][1] == pytest.approx((8 * 0.91, 0.005, 0.04))


def test_a_loss_of_given_targets_has_no_table() -> None:
    assert table("torch", "KLDivLoss()") == ((), [])


def test_a_loss_without_a_minimum() -> None:
    found = diagnose("timm", "--smoothing -0.1", num_classes=4)
    assert [row.minimiser for row in found.rows] == [None] * 4
    assert found.rows[0].target == pytest.approx((1.075, -0.025, -0.025, -0.025))
    rows = diagnose("keras", "BinaryCrossentropy(label_smoothing=-0.2, from_logits=True)").rows
    assert (rows[0].minimiser, rows[0].target) == (None, (1.1, -0.1, -0.1, -0.1))
    # a positive term of weight 0 makes the loss of the label constant
    rows = diagnose("torch", "BCEWithLogitsLoss(pos_weight=[0, 1])").rows
    assert [row.minimiser for row in rows] == [None, (0.0, 1.0)]


def test_twelve_thousand_weights_need_no_square_of_memory() -> None:
    weight = ", ".join(str(1 + k % 7) for k in range(12_000))
    found = diagnose("torch", f"CrossEntropyLoss(weight=[{weight}], label_smoothing=0.1)")
    effect = next(each.effect for each in found.findings if each.name == "weighted-smoothing")
    assert effect == "For label 0 the model learns to predict 0.6923 for class 0, where the smoothed target is 0.9."
    assert repr(found).startswith("Diagnosis(torch.nn.CrossEntropyLoss, torch ")


def test_one_binary_output_has_a_row_for_each_of_its_two_labels() -> None:
    for text in ("BCEWithLogitsLoss(pos_weight=torch.tensor([3.]))", "BCEWithLogitsLoss()"):
        columns, rows = table("torch", text, num_classes=1)
        assert columns == ("the output",)
        assert rows == [(0, (0,), (0,)), (1, (1,), (1,))]
    assert diagnose("torch", "BCEWithLogitsLoss(pos_weight=[3.])").num_classes == 1
    _, rows = table("keras", "BinaryCrossentropy(True, 0.2)", num_classes=1)
    assert rows == [(0, (0.1,), (0.1,)), (1, (0.9,), (0.9,))]
