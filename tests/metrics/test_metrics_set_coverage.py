"""Coverage and size of prediction sets: hand numbers, a slow loop, batches, merging, and misuse."""

import math
from statistics import NormalDist, mean, stdev
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from softtargets.metrics import SetCoverage, SetQuality, set_coverage

generator = torch.Generator().manual_seed(0)
SETS = torch.rand(90, 5, generator=generator) < torch.rand(90, 1, generator=generator)
LABELS = torch.randint(4, (90,), generator=generator)
junk: Any = "x"


def same(a: SetQuality, b: SetQuality) -> bool:
    return all(
        torch.equal(x.nan_to_num(-1.0), y.nan_to_num(-1.0))
        for x, y in zip(vars(a).values(), vars(b).values(), strict=True)
    )


def test_by_hand() -> None:
    sets = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 1, 1], [0, 0, 0], [1, 1, 1]]).bool()
    found = set_coverage(sets, torch.tensor([0, 2, 1, 0, 0]), alpha=0.1)
    assert int(found.rows) == 5
    assert float(found.coverage) == 0.6
    assert float(found.mean_size) == 1.6
    assert float(found.empty) == 0.2
    assert found.size_rows.tolist() == [1, 1, 2, 1]
    assert found.size_coverage.tolist() == [0, 1, 0.5, 1]
    # sizes 0 and 1: 1 of 2; sizes 2 and 3: 2 of 3
    assert float(found.stratified_coverage) == 0.5
    assert found.class_rows.tolist() == [3, 1, 1]
    assert found.class_coverage.tolist() == pytest.approx([2 / 3, 1, 0])
    assert float(found.class_gap) == pytest.approx((0.9 - 2 / 3 + 0.1 + 0.9) / 3)
    assert int(found.worst_class) == 2


def test_against_a_slow_loop_and_scipys_intervals() -> None:
    found = set_coverage(SETS, LABELS, alpha=0.2, confidence=0.9)
    rows = [(sum(s), s[label], label) for s, label in zip(SETS.tolist(), LABELS.tolist(), strict=True)]
    assert float(found.coverage) == mean(float(c) for _, c, _ in rows)
    sizes = [s for s, _, _ in rows]
    assert float(found.mean_size) == pytest.approx(mean(sizes))
    half = NormalDist().inv_cdf(0.95) * stdev(sizes) / math.sqrt(90)
    assert found.size_interval.tolist() == pytest.approx([mean(sizes) - half, mean(sizes) + half])
    wilson = stats.binomtest(sum(c for _, c, _ in rows), 90).proportion_ci(0.9, method="wilson")
    assert found.coverage_interval.tolist() == pytest.approx([wilson.low, wilson.high])
    for k in range(4):
        assert float(found.class_coverage[k]) == pytest.approx(mean(float(c) for _, c, label in rows if label == k))
    assert math.isnan(float(found.class_coverage[4]))
    for size in set(sizes):
        assert float(found.size_coverage[size]) == pytest.approx(mean(float(c) for s, c, _ in rows if s == size))
    strata = [[c for s, c, _ in rows if low <= s <= high] for low, high in ((0, 1), (2, 3), (4, 5))]
    assert float(found.stratified_coverage) == pytest.approx(min(mean(map(float, one)) for one in strata))


def test_strata_of_many_classes() -> None:
    # one set of each size 0, 1, 3, 4, 10, 11, 100, 101, 120; those of 4 and of 101 miss their labels
    sizes = torch.tensor([0, 1, 3, 4, 10, 11, 100, 101, 120])
    sets = torch.arange(120) < sizes[:, None]
    labels = torch.tensor([0, 0, 0, 119, 0, 0, 0, 119, 0])
    found = set_coverage(sets, labels, alpha=0.1)
    assert float(found.stratified_coverage) == 0.5
    assert float(set_coverage(sets[5:8], labels[5:8], alpha=0.1).stratified_coverage) == 0


def test_any_split_over_batches_gives_the_same_numbers() -> None:
    whole = set_coverage(SETS, LABELS, alpha=0.1)
    counted = SetCoverage(alpha=0.1)
    for start in range(0, 90, 7):
        counted.update(SETS[start : start + 7], LABELS[start : start + 7])
    assert same(counted.compute(), whole)
    a, b, none = (SetCoverage(alpha=0.1) for _ in range(3))
    a.update(SETS[:13], LABELS[:13])
    b.update(SETS[13:], LABELS[13:])
    before = b.state_dict()
    assert same(none.merge(a).merge(b).merge(SetCoverage(alpha=0.1)).compute(), whole)
    assert all(torch.equal(value, b.state_dict()[name]) for name, value in before.items())
    restored = SetCoverage(alpha=0.1)
    restored.load_state_dict(none.state_dict())
    none.update(SETS, LABELS)
    assert same(restored.compute(), whole)
    assert restored.count == 90
    restored.load_state_dict({})
    assert restored.count == 0


def test_masks_ignored_rows_axes_and_arrays() -> None:
    mask, labels = torch.arange(90) % 2 == 0, LABELS.clone()
    labels[4] = -100
    kept = mask & (labels >= 0)
    found = set_coverage(SETS.reshape(9, 10, 5), labels.reshape(9, 10), alpha=0.1, mask=mask.reshape(9, 10))
    assert same(found, set_coverage(SETS[kept], LABELS[kept], alpha=0.1))
    moved = set_coverage(SETS.T, LABELS, alpha=0.1, class_dim=0)
    assert same(moved, set_coverage(SETS, LABELS, alpha=0.1))
    arrays = set_coverage(SETS.numpy(), LABELS.numpy(), alpha=0.1)
    assert isinstance(arrays.class_coverage, np.ndarray)
    assert arrays.to_dict()["size_rows"] == moved.size_rows.tolist()


def test_sets_with_all_classes_and_empty_sets() -> None:
    found = set_coverage(torch.ones(9, 3).bool(), torch.arange(9) % 3, alpha=0.1)
    assert (float(found.coverage), float(found.mean_size), float(found.stratified_coverage)) == (1, 3, 1)
    assert float(found.coverage_interval[1]) == 1
    assert found.size_interval.tolist() == [3, 3]
    found = set_coverage(torch.zeros(1, 3).bool(), torch.tensor([1]), alpha=0.1)
    assert (float(found.coverage), float(found.mean_size), float(found.empty)) == (0, 0, 1)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: set_coverage(SETS.float(), LABELS, alpha=0.1),
            TypeError,
            "sets: a bool tensor .*; got dtype torch.float32",
        ),
        (lambda: set_coverage(SETS.tolist(), LABELS, alpha=0.1), TypeError, "sets: a bool tensor .*; got list"),
        (lambda: set_coverage(LABELS, SETS, alpha=0.1), TypeError, "sets: a bool tensor"),
        (lambda: set_coverage(SETS, LABELS[:9], alpha=0.1), ValueError, r"labels: shape \(90,\); got \(9,\)"),
        (lambda: set_coverage(SETS[:, :3], LABELS, alpha=0.1), ValueError, "labels: .*below 3.*; got 3 at row"),
        (lambda: set_coverage(SETS[:0], LABELS[:0], alpha=0.1), ValueError, "SetCoverage: at least one example"),
        (lambda: set_coverage(SETS, LABELS, alpha=0), ValueError, "alpha: a number above 0 and below 1"),
        (lambda: set_coverage(SETS, LABELS, alpha=0.1, confidence=95), ValueError, r"confidence: in \[0, 1\]"),
        (lambda: SetCoverage(alpha=0.1).compute(), ValueError, "SetCoverage: at least one example"),
        (lambda: counted().update(SETS[:, :4], LABELS), ValueError, "sets: 5 classes, as before; got 4"),
        (lambda: counted().merge(SetCoverage(alpha=0.2)), ValueError, r"other: the settings SetCoverage\(alpha=0.1"),
        (lambda: counted().merge(junk), TypeError, "other: a SetCoverage; got str"),
        (lambda: counted().load_state_dict({"of_class": LABELS}), ValueError, "state: int64 tensors of_class"),
    ],
)
def test_misuse(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def counted() -> SetCoverage:
    return SetCoverage(alpha=0.1).update(SETS, LABELS)
