"""Columns of probabilities: the compiled kernels give what their twins give, for any number of threads."""

import pytest
import torch

from softtargets._native import columns as tested
from softtargets._native.columns import count_cells, select_entries
from softtargets._native.library import function

CELLS = 0x3F80 + 1

pytestmark = pytest.mark.skipif(function("count_cells") is None, reason="the compiled kernels are not in use")


def _nothing(name: str) -> None:
    return None


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("classes", [2, 7, 16, 17, 100, 300])
def test_the_kernels_give_what_the_twins_give(monkeypatch, classes: int, threads: int) -> None:
    generator = torch.Generator().manual_seed(classes)
    probs = (3 * torch.randn(700, classes, generator=generator)).softmax(1)
    probs[::9] = probs[::9].round()
    probs[5, 0], probs[6, 1], probs[7, 1] = -0.0, 1.0005, 1e-40
    low = 0.1 * torch.rand(classes, generator=generator)
    high = low + torch.rand(classes, generator=generator)
    low[0], high[1] = -torch.inf, -torch.inf
    counts, expected = torch.ones(classes, CELLS, dtype=torch.int64), torch.ones(classes, CELLS, dtype=torch.int64)
    wide = torch.zeros(700, classes + 3)
    wide[:, :classes] = probs
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    count_cells(wide[:, :classes], counts)
    found = select_entries(wide[:, :classes], low, high)
    torch.set_num_threads(before)
    monkeypatch.setattr(tested, "function", _nothing)
    count_cells(probs, expected)
    assert torch.equal(counts, expected)
    for ours, theirs in zip(found, select_entries(probs, low, high), strict=True):
        assert torch.equal(ours, theirs)


def test_every_entry_and_no_entry_can_be_selected() -> None:
    probs = torch.rand(50, 20)
    bounds = torch.full((20,), torch.inf)
    rows, columns = select_entries(probs, -bounds, bounds)
    assert torch.equal(rows * 20 + columns, torch.arange(1000))
    assert [len(part) for part in select_entries(probs, bounds, bounds)] == [0, 0]
    assert [len(part) for part in select_entries(probs[:0], -bounds, bounds)] == [0, 0]
