"""Reading rows: checks, masks, chunks, and the quantities of a row."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from softtargets.metrics import rows as rows_module


def one(*given: Tensor, **options: Any) -> rows_module.Rows:
    (rows,) = rows_module.chunks(*given, **options)
    return rows


def test_probabilities_by_hand() -> None:
    rows = one(torch.tensor([[0.5, 0.5, 0.0], [0.25, 0.0, 0.75]]), torch.tensor([1, 2]))
    assert (len(rows), rows.num_classes, rows.kind) == (2, 3, "probs")
    assert rows.predicted.tolist() == [0, 2]
    assert rows.correct.tolist() == [False, True]
    assert rows.rank.tolist() == [1, 0]
    assert rows.confidence.tolist() == [0.5, 0.75]
    assert rows.probs.dtype == rows.confidence.dtype == rows.log_likelihood.dtype == torch.float64
    assert rows.log_likelihood.tolist() == pytest.approx([math.log(0.5), math.log(0.75)], abs=1e-15)


def test_logits_by_hand() -> None:
    rows = one(logits=torch.tensor([[0.0, math.log(3), -torch.inf]]), labels=torch.tensor([0]))
    assert rows.probs[0].tolist() == pytest.approx([0.25, 0.75, 0], abs=1e-7)
    assert float(rows.confidence) == pytest.approx(0.75, abs=1e-7)
    assert float(rows.log_likelihood) == pytest.approx(math.log(0.25), abs=1e-7)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("kind", ["probs", "logits"])
def test_ties_are_predicted_as_the_lowest_class(kind: str, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randint(0, 3, (500, 4), generator=generator).to(dtype)
    labels = torch.randint(0, 4, (500,), generator=generator)
    values = scores if kind == "logits" else scores.double().softmax(-1).to(dtype)
    rows = one(**{kind: values}, labels=labels)
    expected = [
        int(row.tolist().index(max(row.tolist()))) == int(label) for row, label in zip(scores, labels, strict=True)
    ]
    assert rows.correct.tolist() == expected
    assert torch.equal(rows.correct, rows.predicted == rows.labels)
    assert torch.equal(rows.correct, rows.rank == 0)


def test_ties_of_sums_that_are_rounded_up() -> None:
    # two of .51 are within what half precision may add up to
    values = torch.tensor([[0.51, 0.51]], dtype=torch.bfloat16)
    assert one(values, torch.tensor([1])).correct.tolist() == [False]
    assert one(values, torch.tensor([0])).correct.tolist() == [True]


def test_axes_before_the_last_are_rows_and_ids_count_them() -> None:
    probs = torch.full((2, 3, 4), 0.25)
    labels = torch.arange(6).reshape(2, 3) % 4
    mask = torch.tensor([[True, False, True], [True, True, False]])
    rows = one(probs, labels, mask=mask)
    assert rows.labels.tolist() == [0, 2, 3, 0]
    assert rows.ids.tolist() == [0, 2, 3, 4]
    assert one(probs, labels, mask=mask, ids=10 * labels).ids.tolist() == [0, 20, 30, 0]


def test_chunks_cover_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "_CHUNK_NUMBERS", 12)
    labels = torch.arange(10) % 3
    probs = torch.eye(3)[labels]
    parts = list(rows_module.chunks(probs, labels))
    assert [len(part) for part in parts] == [4, 4, 2]
    assert torch.cat([part.labels for part in parts]).tolist() == labels.tolist()
    assert torch.cat([part.ids for part in parts]).tolist() == list(range(10))
    labels[9] = 3
    with pytest.raises(ValueError, match="got 3 at row 9"):
        list(rows_module.chunks(probs, labels))
    # a chunk without rows that count is not yielded
    assert [len(part) for part in rows_module.chunks(probs, labels, mask=torch.arange(10) < 4)] == [4]


def test_only_a_part_is_copied_where_classes_are_not_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "_CHUNK_NUMBERS", 60)
    logits = torch.randn(7, 5, 3, 2, generator=torch.Generator().manual_seed(0))
    labels = torch.randint(5, (7, 3, 2), generator=torch.Generator().manual_seed(1))
    ids = torch.arange(42).view(7, 3, 2) * 3
    last = list(rows_module.chunks(logits=logits.movedim(1, -1).contiguous(), labels=labels, ids=ids))
    parts = list(rows_module.chunks(logits=logits, labels=labels, ids=ids, class_dim=1))
    assert [len(part) for part in parts] == [12, 12, 12, 6]
    for name in ("values", "labels", "ids"):
        assert torch.equal(*(torch.cat([getattr(part, name) for part in found]) for found in (parts, last)))
    labels[6, 2, 1] = 5
    with pytest.raises(ValueError, match=r"got 5 at index \(6, 2, 1\)"):
        list(rows_module.chunks(logits=logits, labels=labels, class_dim=1))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("num_classes", [2, 1000])
def test_the_output_of_softmax_is_accepted(dtype: torch.dtype, num_classes: int) -> None:
    logits = torch.randn(64, num_classes, generator=torch.Generator().manual_seed(0)).to(dtype) * 4
    rows = one(logits.softmax(-1), torch.zeros(64, dtype=torch.int64))
    assert float(rows.confidence.max()) <= 1


def test_errors() -> None:
    good, labels = torch.full((2, 2), 0.5), torch.tensor([0, 1])
    cases = [
        (
            {"mask": torch.tensor([1, 0])},
            "mask: a bool tensor, True for the entries to include; got dtype torch.int64; use mask",
        ),
        ({"mask": torch.tensor([True])}, r"mask: shape \(2,\), one per row; got \(1,\); pass one entry per row"),
        ({"ids": torch.tensor([0.0, 1.0])}, "ids: integer ids of examples; got dtype torch.float32"),
        ({"ids": torch.tensor([0])}, r"ids: shape \(2,\); got \(1,\); give one per row"),
        ({"ids": torch.tensor(0)}, r"ids: shape \(2,\); got \(\); give one per row"),
    ]
    for options, message in cases:
        with pytest.raises((ValueError, TypeError), match=message):
            one(good, labels, **options)
    with pytest.raises(ValueError, match=r"labels: shape \(2,\); got \(\); give one per row"):
        one(good, torch.tensor(0))
    with pytest.raises(TypeError, match="labels: required; got nothing; pass labels= or give"):
        one(good)
    with pytest.raises(ValueError, match=r"logits: finite numbers, or -inf for some .*; got nan at row 1; fix that"):
        one(logits=torch.tensor([[0.0, 1.0], [0.0, torch.nan]]), labels=labels)
    with pytest.raises(ValueError, match="got -inf at row 0"):
        one(logits=torch.full((2, 2), -torch.inf), labels=labels)
    with pytest.raises(ValueError, match="got inf at row 1"):
        one(logits=torch.tensor([[0.0, 1.0], [0.0, torch.inf]]), labels=labels)
    with pytest.raises(ValueError, match=r"got a sum of 1.3 and a minimum of 0.3 at index \(1, 0\)"):
        one(torch.tensor([[[0.5, 0.5]], [[1.0, 0.3]]]), labels[:, None])
