"""The pass over rows of probabilities or logits against its twin: the same classes, and sums within 2 ulp."""

from typing import Any

import pytest
import torch
from kernels import use_kernels, use_level
from torch import Tensor

from softtargets._native.build import levels
from softtargets._native.top_class import TopClasses, top_classes
from softtargets.metrics.rows import RowReader, Rows, chunks

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
SIZES = (2, 3, 10, 16, 17, 31, 32, 33, 100, 1000, 5003)
ROWS = 41
KINDS = ("probs", "logits")


def values_of(kind: str, size: int, dtype: torch.dtype, rows: int = ROWS) -> Tensor:
    logits = torch.randn(rows, size, generator=torch.Generator().manual_seed(size), dtype=torch.float64).mul(4)
    return (logits if kind == "logits" else logits.softmax(1)).to(dtype)


def labels_of(values: Tensor) -> Tensor:
    """Return labels of which about a half are the predicted class."""
    g = torch.Generator().manual_seed(1)
    labels = torch.randint(values.shape[1], (len(values),), generator=g)
    return torch.where(torch.rand(len(values), generator=g) < 0.5, values.argmax(1), labels)


def both(monkeypatch: pytest.MonkeyPatch, level: str, kind: str, values: Tensor, labels: Tensor) -> list[TopClasses]:
    """Return the results of the kernel of a level, then of the twin."""
    found = []
    for wanted in (level, "0"):
        use_kernels(monkeypatch, wanted)
        found.append(top_classes(values, labels, probs=kind == "probs", tolerance=3e-2))
        assert found[-1].predicted.shape == labels.shape  # computed when it is first read
    return found


def assert_agree(kernel: TopClasses, twin: TopClasses, kind: str) -> None:
    for name in ("largest", "predicted", "correct"):
        one, other = getattr(kernel, name), getattr(twin, name)
        assert one.dtype == other.dtype
        assert torch.equal(one, other), name
    if kind == "logits":
        assert kernel.sums.dtype == torch.float64
        # each of up to thousands of exponentials is rounded, and so is the sum
        units = 2 if len(kernel.exponentials[0]) <= 17 else 10
        torch.testing.assert_close(kernel.sums, twin.sums, rtol=units * torch.finfo(torch.float64).eps, atol=0)
        assert torch.equal(kernel.exponentials, twin.exponentials)


@pytest.mark.parametrize("level", list(levels()))
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_kernel_agrees_with_its_twin(
    dtype: torch.dtype, kind: str, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_level(monkeypatch, level)
    for size in SIZES:
        values = values_of(kind, size, dtype)
        kernel, twin = both(monkeypatch, level, kind, values, labels_of(values))
        assert kernel.checked
        assert not twin.checked
        assert_agree(kernel, twin, kind)


@pytest.mark.parametrize("level", list(levels()))
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_on_ties_the_first_class_is_predicted(
    dtype: torch.dtype, kind: str, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_level(monkeypatch, level)
    for size in (2, 5, 40, 600):
        scores = torch.randint(0, 3, (ROWS, size), generator=torch.Generator().manual_seed(0)).double()
        values = (scores if kind == "logits" else scores.softmax(1)).to(dtype)
        kernel, twin = both(monkeypatch, level, kind, values, labels_of(values))
        assert_agree(kernel, twin, kind)
        first = [row.index(max(row)) for row in values.tolist()]
        assert kernel.predicted.tolist() == first
    # masked classes, and zeros of both signs
    rows = torch.tensor([[-torch.inf, 1.0, 1.0], [0.0, -0.0, -1.0], [-0.0, 0.0, -torch.inf]]).to(dtype)
    assert both(monkeypatch, level, "logits", rows, torch.tensor([1, 0, 0]))[0].correct.all()


def bad_rows(kind: str) -> list[tuple[float, ...]]:
    """Return rows of four classes that are not fit."""
    inf, nan = torch.inf, torch.nan
    if kind == "logits":
        return [(nan, 0, 1, 2), (0, 1, 2, nan), (inf, 0, 0, 0), (0, 0, 0, inf), (inf, -inf, 0, nan), (-inf,) * 4]
    return [(nan, 0.5, 0.5, 0), (0, 0, 1, nan), (-0.25, 1.25, 0, 0), (0.5, 0.25, 0, 0), (0.5, 1, 0, 0), (inf, 0, 0, 0)]


def read(kind: str, values: Tensor, labels: Tensor, mask: Tensor | None = None) -> RowReader:
    if kind == "probs":
        return chunks(values, labels, mask=mask)
    return chunks(logits=values, labels=labels, mask=mask)


def message(kind: str, values: Tensor, labels: Tensor) -> str:
    with pytest.raises(ValueError) as caught:
        list(read(kind, values, labels))
    return str(caught.value)


@pytest.mark.parametrize("level", list(levels()))
@pytest.mark.parametrize("size", [4, 40])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_bad_row_or_label_gives_the_same_error(
    dtype: torch.dtype, kind: str, size: int, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_level(monkeypatch, level)
    rest = 0.0 if kind == "probs" else -torch.inf
    for place in (0, 16, ROWS - 1):
        for row in bad_rows(kind):
            values = values_of(kind, size, dtype)
            labels = labels_of(values)
            # the four numbers at the end, where a row is not a whole number of vectors
            values[place], values[place, -4:] = rest, torch.tensor(row).to(dtype)
            found = []
            for wanted in (level, "0"):
                use_kernels(monkeypatch, wanted)
                found.append(message(kind, values, labels))
            assert found[0] == found[1]
            assert f"row {place}" in found[0]
        for label in (size, -1, 2**40):
            values = values_of(kind, size, dtype)
            labels = labels_of(values)
            labels[place] = label
            found = []
            for wanted in (level, "0"):
                use_kernels(monkeypatch, wanted)
                found.append(message(kind, values, labels))
            assert found[0] == found[1]
            assert f"got {label} at row {place}" in found[0]


def test_a_sum_near_the_tolerance_is_decided_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = torch.zeros(2, dtype=torch.int64)
    for wanted in ("1", "0"):
        use_kernels(monkeypatch, wanted)
        (rows,) = chunks(torch.tensor([[0.5, 0.50095], [0.5, 0.49905]]), labels)
        assert rows.top.tolist() == pytest.approx([0.50095, 0.5])
        for row in ([0.5, 0.5011], [0.5, 0.4989]):
            with pytest.raises(ValueError, match="probs: rows of probabilities"):
                list(chunks(torch.tensor([row, row]), labels))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_row_gives_the_same_bits_alone_and_in_every_layout(
    dtype: torch.dtype, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_kernels(monkeypatch, "1")
    for size in (3, 10, 50):
        values = values_of(kind, size, dtype)
        labels = labels_of(values)
        whole = top_classes(values, labels, probs=kind == "probs", tolerance=3e-2)
        arrangements: list[Any] = [values.T.contiguous().T, torch.stack([values, values], 1)[:, 1]]
        strided = torch.stack([labels, labels], 1)[:, 0]
        found = [top_classes(each, strided, probs=kind == "probs", tolerance=3e-2) for each in arrangements]
        for cut in (1, 7):
            parts = [
                top_classes(part, of, probs=kind == "probs", tolerance=3e-2)
                for part, of in zip(values.split(cut), labels.split(cut), strict=True)
            ]
            for name in ("largest", "sums", "predicted", "correct"):
                assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(whole, name)), name
        for other in found:
            for name in ("largest", "sums", "predicted", "correct"):
                assert torch.equal(getattr(other, name), getattr(whole, name)), name


@pytest.mark.parametrize("kind", KINDS)
def test_the_bits_do_not_depend_on_the_number_of_threads(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use_kernels(monkeypatch, "1")
    before = torch.get_num_threads()
    try:
        for size in (10, 70):
            values = values_of(kind, size, torch.float32, 20_000)
            labels = labels_of(values)
            found = []
            for threads in (1, 2, 3):
                torch.set_num_threads(threads)
                found.append(top_classes(values, labels, probs=kind == "probs", tolerance=3e-2))
            for other in found[1:]:
                for name in ("largest", "sums", "predicted", "correct"):
                    assert torch.equal(getattr(other, name), getattr(found[0], name)), name
            labels[-1] = size
            assert not top_classes(values, labels, probs=kind == "probs", tolerance=3e-2).checked
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_are_left_out_are_not_read(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    values = values_of(kind, 5, torch.float32)
    labels = labels_of(values)
    labels[::3] = -100
    values[::3] = torch.nan
    mask = torch.arange(ROWS) % 5 > 0
    values[~mask] = torch.nan
    found: list[Rows] = []
    for wanted in ("1", "0"):
        use_kernels(monkeypatch, wanted)
        (rows,) = read(kind, values, labels, mask)
        assert torch.equal(rows.predicted, values[(labels != -100) & mask].argmax(1))
        found.append(rows)
    kept = (labels != -100) & mask
    assert found[0].ids.tolist() == found[1].ids.tolist() == kept.nonzero()[:, 0].tolist()
    assert torch.equal(found[0].correct, found[1].correct)
    torch.testing.assert_close(found[0].top, found[1].top, rtol=1e-15, atol=0)
