"""Rows of a teacher: their forms, indexing, and the spread of their tail."""

from typing import Any

import pytest
import torch

from softtargets.distill import TeacherRows

LOG_PROBS = torch.tensor([[0.5, 0.25], [0.75, 0.125]]).log()
CLASSES = torch.tensor([[3, 0], [1, 4]])
TAIL = torch.tensor([0.25, 0.125]).log()
TOP = TeacherRows(LOG_PROBS, CLASSES, TAIL, num_classes=5, temperature=2.0)


def test_the_tail_is_spread_evenly_by_hand() -> None:
    each = 0.25 / 3
    expected = torch.tensor([[0.25, each, each, 0.5, each], [0.125 / 3, 0.75, 0.125 / 3, 0.125 / 3, 0.125]])
    torch.testing.assert_close(TOP.spread().exp(), expected)
    assert torch.equal(TeacherRows(LOG_PROBS).spread(), LOG_PROBS)


def test_rows_are_indexed_as_tensors_are_and_keep_their_settings() -> None:
    many = TeacherRows(LOG_PROBS.expand(3, 2, 2), CLASSES.expand(3, 2, 2), TAIL.expand(3, 2), num_classes=5)
    assert many.shape == (3, 2)
    assert many[:, 1].shape == (3,)
    assert many[(slice(1, 3),)].shape == (2, 2)
    assert many[torch.tensor([True, False, True])].shape == (2, 2)
    one = TOP[1:]
    assert torch.equal(one.spread(), TOP.spread()[1:])
    assert (one.num_classes, one.temperature) == (5, 2.0)
    assert TOP.to("meta").log_probs.is_meta
    assert [repr(rows) for rows in (TOP, TeacherRows(LOG_PROBS))] == [
        "TeacherRows(top 2 of 5, shape=(2,))",
        "TeacherRows(all of 2, shape=(2,))",
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"classes": CLASSES, "log_tail": TAIL}, r"^num_classes: the number of all classes; got None"),
        ({"classes": CLASSES, "num_classes": 4}, r"^classes: labels of at least 0 and below 4.*4 at index \(1, 1\)"),
        ({"classes": CLASSES[:1], "num_classes": 5}, r"^classes: shape \(2, 2\)"),
        ({"classes": CLASSES, "log_tail": TAIL[:1], "num_classes": 5}, r"^log_tail: shape \(2,\); got \(1,\)"),
        ({"log_tail": TAIL}, r"^classes: the classes of log_probs; got None"),
        ({"num_classes": 5}, r"^log_probs: 5 classes, num_classes, last"),
        (
            {"classes": CLASSES, "log_tail": TAIL, "log_weights": LOG_PROBS, "num_classes": 5},
            r"^log_weights: None for the k largest",
        ),
    ],
)
def test_fields_that_do_not_fit_are_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TeacherRows(LOG_PROBS, **given)
