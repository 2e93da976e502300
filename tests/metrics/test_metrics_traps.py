"""Traps 26, 27, 29, 30, 39 and 48: edges, memory, dtypes and ids, which other libraries get wrong."""

from typing import Any

import pytest
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from softtargets import metrics

ALL = (metrics.ECE, metrics.Accuracy, metrics.NLL, metrics.Brier, metrics.BrierDecomposition)
BINNED = (metrics.ece, metrics.reliability_bins)


def binary(confidences: list[float]) -> torch.Tensor:
    """Rows that predict class 0 with the given confidence."""
    column = torch.tensor(confidences, dtype=torch.float64)
    return torch.stack([column, 1 - column], -1)


def test_trap_26_a_confidence_of_exactly_1_is_in_the_last_bin() -> None:
    probs = torch.tensor([[1.0, 0.0], [0.05, 0.95]], dtype=torch.float64)
    labels = torch.tensor([1, 1])  # wrong, right
    assert float(metrics.ece(probs, labels, n_bins=10)) == pytest.approx(0.475, abs=1e-12)
    assert metrics.reliability_bins(probs, labels, n_bins=10).count.tolist() == [0] * 9 + [2]
    theirs = multiclass_calibration_error(probs, labels, num_classes=2, n_bins=10)
    assert float(theirs) == pytest.approx(0.525)  # 1 in a bin of its own


def test_trap_26_a_probability_of_exactly_0_is_in_the_first_bin() -> None:
    table = metrics.reliability_bins(torch.tensor([[1.0, 0.0]] * 3), torch.tensor([0, 0, 1]), n_bins=4, classwise=True)
    assert table.count.tolist() == [[0, 0, 0, 3], [3, 0, 0, 0]]
    assert table.correct.tolist() == [[0, 0, 0, 2], [1, 0, 0, 0]]
    parts = metrics.brier_decomposition(torch.tensor([[1.0, 0.0]] * 3), torch.tensor([0, 0, 1]), n_bins=4)
    assert float(parts.brier) == pytest.approx(2 / 3, abs=1e-15)


def test_trap_26_edges_belong_to_the_bin_below_and_nothing_is_lost() -> None:
    confidences = [0.5, 0.75, 1.0, 0.625]  # exact in binary
    table = metrics.reliability_bins(binary(confidences), torch.zeros(4, dtype=torch.int64), n_bins=8)
    assert table.count.tolist() == [0, 0, 0, 1, 1, 1, 0, 1]
    for bins in (1, 2, 15, 100):
        assert int(metrics.reliability_bins(binary(confidences), torch.zeros(4).long(), n_bins=bins).count.sum()) == 4
    # all of 16 classes alike: the confidence is 1/16, on the edge of the first of 16 bins
    flat = torch.full((3, 16), 1 / 16)
    assert metrics.reliability_bins(flat, torch.tensor([0, 1, 2]), n_bins=16).count.tolist() == [3] + [0] * 15


@pytest.mark.parametrize("bins", [3, 7, 15, 49, 100, 1000])
def test_trap_26_numbers_beside_an_edge_are_on_their_side_of_it(bins: int) -> None:
    edges = torch.arange(bins + 1, dtype=torch.float64) / bins
    inner = edges[1:-1]
    above, below = (inner.nextafter(torch.tensor(end, dtype=torch.float64)) for end in (2.0, -1.0))
    values = torch.cat([edges, above, below])
    probs = torch.stack([values, 1 - values], 1)
    labels = torch.zeros(len(values), dtype=torch.int64)
    table = metrics.reliability_bins(probs, labels, n_bins=bins, classwise=True)
    expected = torch.bucketize(values, inner).bincount(minlength=bins)  # edges[b] < value <= edges[b + 1]
    assert table.count[0].tolist() == expected.tolist()


@pytest.mark.parametrize("kind", ALL)
def test_trap_27_the_state_does_not_grow(kind: type[metrics.Accumulator]) -> None:
    def size(metric: metrics.Accumulator) -> int:
        return sum(array.numel() for array in metric.state_dict().values())

    generator = torch.Generator().manual_seed(0)
    metric, sizes = kind(), set()
    for _ in range(50):
        probs = torch.randn(20, 5, generator=generator).softmax(-1)
        metric.update(probs, torch.randint(0, 5, (20,), generator=generator))
        sizes.add(size(metric))
    assert metric.count == 1000
    assert len(sizes) == 1
    assert max(sizes) <= 6 * 15 * 5 + 6


def test_trap_27_equal_masses_are_kept_in_cells() -> None:
    metric = metrics.ECE(binning="mass")
    for _ in range(3):
        metric.update(torch.rand(4000, 2).softmax(-1), torch.zeros(4000, dtype=torch.int64))
        assert sum(array.numel() for array in metric.state_dict().values()) < 16_000


@pytest.mark.parametrize("kind", ALL)
def test_trap_29_logits_are_not_taken_for_probabilities(kind: type[metrics.Accumulator]) -> None:
    labels = torch.tensor([0, 0])
    message = r"probs: rows of probabilities.*; got a sum of 2 and a minimum of -1 at row 1; pass logits= for logits"
    with pytest.raises(ValueError, match=message):
        kind().update(torch.tensor([[0.5, 0.5], [3.0, -1.0]]), labels)
    with pytest.raises(ValueError, match=r"got a sum of 0.5 and a minimum of 0 at row 0"):
        kind().update(torch.tensor([[0.5, 0.0], [0.5, 0.5]]), labels)
    with pytest.raises(ValueError, match=r"got a sum of nan .* at row 0"):
        kind().update(torch.tensor([[0.5, torch.nan], [0.5, 0.5]]), labels)


@pytest.mark.parametrize("kind", ALL)
def test_trap_29_logits_that_look_like_probabilities_are_logits(kind: type[metrics.Accumulator]) -> None:
    logits, labels = torch.tensor([[0.9, 0.1], [0.2, 0.8]]), torch.tensor([0, 0])
    made = kind().update(logits=logits, labels=labels).compute()
    torch.testing.assert_close(made, kind().update(logits.double().softmax(-1), labels).compute())
    with pytest.raises(ValueError, match="probs: either probs or logits; got both; pass one of them"):
        kind().update(logits, labels, logits=logits)  # pyright: ignore[reportCallIssue]
    update: Any = kind().update
    with pytest.raises(TypeError, match="probs: required; got nothing; pass probabilities as the first argument, or"):
        update(labels=labels)


@pytest.mark.parametrize("kind", ALL)
def test_trap_30_integers_are_refused_not_measured_at_zero(kind: type[metrics.Accumulator]) -> None:
    certain, labels = torch.tensor([[1, 0], [0, 1]]), torch.tensor([1, 1])
    with pytest.raises(
        TypeError, match=r"probs: a floating-point tensor .*; got dtype torch.int64; use probs.float\(\)"
    ):
        kind().update(certain, labels)
    with pytest.raises(TypeError, match=r"logits: a floating-point tensor .*; got dtype torch.int64; use logits.float"):
        kind().update(logits=certain, labels=labels)
    assert float(metrics.ece(certain.float(), labels)) == 0.5


@pytest.mark.parametrize("metric", BINNED)
def test_trap_30_functions_refuse_integers_too(metric) -> None:
    for binning in ("width", "mass"):
        with pytest.raises(TypeError, match=r"probs: a floating-point tensor .*; got dtype torch.int64"):
            metric(torch.eye(2).long(), torch.tensor([1, 1]), binning=binning)


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int16, torch.uint16, torch.int32, torch.uint32])
@pytest.mark.parametrize("kind", ALL)
def test_trap_39_labels_of_any_integer_dtype(kind: type[metrics.Accumulator], dtype: torch.dtype) -> None:
    # 156 is -100 in 8 bits, and 300 classes are 44
    logits = torch.randn(600, 300, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(600) % (128 if dtype == torch.int8 else 256)
    expected = kind().update(logits=logits, labels=labels)
    made = kind().update(logits=logits, labels=labels.to(dtype))
    assert made.count == 600
    assert torch.equal(made.compute(), expected.compute())
    if dtype.is_signed:
        made = kind().update(logits=logits, labels=labels.to(dtype).index_fill(0, torch.tensor([3, 9]), -100))
        assert made.count == 598


def test_trap_39_a_negative_label_is_not_a_large_class() -> None:
    logits = torch.randn(2, 300, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match="labels of at least 0 and below 300, the number of classes; got -1 at row 1"):
        metrics.nll(logits=logits, labels=torch.tensor([0, -1], dtype=torch.int8))


@pytest.mark.parametrize("kind", ALL)
def test_trap_48_counted_ids_do_not_depend_on_how_padded_sequences_are_split(kind: type[metrics.Accumulator]) -> None:
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(12, 7, 5, generator=generator), torch.randint(5, (12, 7), generator=generator)
    mask = torch.arange(7) < torch.randint(1, 8, (12, 1), generator=generator)
    mask[:2] = False  # a first batch of padding alone
    padded = labels.masked_fill(~mask, -100)
    whole = kind(groups=6).update(logits=logits, labels=labels, mask=mask).state_dict()
    for size in (1, 2, 5):
        by_mask, by_label = kind(groups=6), kind(groups=6)
        for start in range(0, 12, size):
            part = slice(start, start + size)
            by_mask.update(logits=logits[part], labels=labels[part], mask=mask[part])
            by_label.update(logits=logits[part], labels=padded[part])
        for made in (by_mask, by_label):
            assert all(torch.equal(array, whole[name]) for name, array in made.state_dict().items())
