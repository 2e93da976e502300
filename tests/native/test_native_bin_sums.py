"""Sums of confidences in bins and at nodes: the kernel and its twin give the same integers."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from kernels import use_kernels, use_level
from torch import Tensor

from softtargets import metrics
from softtargets._native.bin_sums import add_residuals, add_to_bins
from softtargets._native.build import levels
from softtargets._native.class_bins import add_to_class_bins

NODES = 2049


def confidences(dtype: torch.dtype, number: int = 5000, bins: int = 15) -> Tensor:
    """Return random numbers, the edges of bins and their neighbours, and numbers near 0 and 1."""
    g = torch.Generator().manual_seed(0)
    edges = (torch.arange(bins + 1, dtype=torch.float64) / bins).to(dtype)
    one, zero = torch.ones_like(edges), torch.zeros_like(edges)
    halves = (torch.arange(NODES - 1, dtype=torch.float64) + 0.5) / (NODES - 1)
    small = 2.0 ** -torch.arange(60, dtype=torch.float64)
    parts = [
        edges,
        edges.nextafter(one),
        edges.nextafter(zero),
        halves.to(dtype),
        small.to(dtype),
        (1 - small).to(dtype),
    ]
    return torch.cat([*parts, torch.rand(number, generator=g, dtype=torch.float64).to(dtype)])


def states(
    wanted: str, monkeypatch: pytest.MonkeyPatch, add: Callable[..., None], confidence: Tensor, cells: int, groups: int
) -> tuple[Tensor, Tensor]:
    use_kernels(monkeypatch, wanted)
    g = torch.Generator().manual_seed(1)
    correct = torch.rand(len(confidence), generator=g) < 0.6
    group = torch.randint(groups, (len(confidence),), generator=g) if groups > 1 else None
    counts = torch.zeros(groups, cells, 2) if add is add_to_bins else torch.zeros(groups, cells)
    counts, sums = counts.long(), torch.ones(groups, cells, 2, dtype=torch.int64)
    add(confidence, correct, group, counts, sums)
    return counts, sums


@pytest.mark.parametrize("level", list(levels()))
@pytest.mark.parametrize("groups", [1, 3, 1000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_the_kernels_give_the_integers_of_their_twins(
    dtype: torch.dtype, groups: int, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_level(monkeypatch, level)
    cases: list[tuple[Any, int]] = [(add_to_bins, bins) for bins in (1, 2, 15, 100)] + [(add_residuals, NODES)]
    if groups == 1:
        cases += [(add_to_bins, 2**16), (add_to_bins, 2**16 + 1), (add_residuals, 3)]
    for add, cells in cases:
        confidence = confidences(dtype, bins=min(cells, 100))
        kernel, twin = (states(wanted, monkeypatch, add, confidence, cells, groups) for wanted in (level, "0"))
        assert torch.equal(kernel[0], twin[0])
        assert torch.equal(kernel[1], twin[1])
        assert int(kernel[0].sum()) == len(confidence)


@pytest.mark.parametrize("name", ["ECE", "SmoothECE"])
@pytest.mark.parametrize("groups", [1, 50])
@pytest.mark.parametrize("kind", ["probs", "logits"])
def test_threads_and_cuts_give_the_same_state(
    kind: str, groups: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_kernels(monkeypatch, "1")
    g = torch.Generator().manual_seed(0)
    values = torch.randn(150_000, 3, generator=g) * 2
    values = values if kind == "logits" else values.softmax(1)
    labels = torch.randint(3, (150_000,), generator=g)
    before, found = torch.get_num_threads(), []
    try:
        for threads, cut in ((1, 150_000), (2, 150_000), (3, 150_000), (2, 40_001), (1, 77)):
            torch.set_num_threads(threads)
            metric = getattr(metrics, name)(groups=groups)
            for part, of in zip(values.split(cut), labels.split(cut), strict=True):
                metric.update(**{kind: part}, labels=of)
            found.append(metric.state_dict())
    finally:
        torch.set_num_threads(before)
    for state in found[1:]:
        assert state.keys() == found[0].keys()
        assert all(torch.equal(state[key], found[0][key]) for key in state)


@pytest.mark.parametrize("name", ["ECE", "SmoothECE"])
def test_probabilities_give_the_same_state_with_and_without_kernels(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    g = torch.Generator().manual_seed(0)
    for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
        probs = (torch.randn(3000, 10, generator=g, dtype=torch.float64) * 3).softmax(1).to(dtype)
        labels = torch.randint(10, (3000,), generator=g)
        found = []
        for wanted in ("1", "0"):
            use_kernels(monkeypatch, wanted)
            found.append(getattr(metrics, name)(groups=7).update(probs, labels).state_dict())
        assert all(torch.equal(found[0][key], found[1][key]) for key in found[0])


@pytest.mark.parametrize("level", list(levels()))
@pytest.mark.parametrize("groups", [1, 40])
def test_the_bins_of_every_class_agree_with_the_twin(groups: int, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use_level(monkeypatch, level)
    g = torch.Generator().manual_seed(0)
    for num_classes, bins in ((2, 15), (3, 1), (7, 100)):
        edges = confidences(torch.float64, 1000, bins)
        probs = edges[: len(edges) // num_classes * num_classes].view(-1, num_classes)
        labels = torch.randint(num_classes, (len(probs),), generator=g)
        group = torch.randint(groups, (len(probs),), generator=g) if groups > 1 else None
        shape = (groups, num_classes, bins)
        made = []
        for wanted in (level, "0"):
            use_kernels(monkeypatch, wanted)
            arrays = [torch.zeros(*shape, *last, dtype=torch.int64) for last in ((), (2,), (), (2,), (2,), (2,))]
            add_to_class_bins(probs, labels, group, *arrays[:4])
            add_to_class_bins(probs, labels, group, *arrays[4:])
            made.append(arrays)
        assert all(torch.equal(*pair) for pair in zip(*made, strict=True))
        assert int(made[0][0].sum()) == int(made[0][4].sum()) == probs.numel()
