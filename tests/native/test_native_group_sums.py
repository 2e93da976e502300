"""Sums by group and cell, and the hash of the groups: the kernels and their twins give the same integers."""

import pytest
import torch
from kernels import use_kernels, use_level
from torch import Tensor

from softtargets._native.build import levels
from softtargets._native.group_sums import add_at, hashed, signed

N, GROUPS, CELLS = 1000, 7, 5
HALVES = (torch.arange(N, dtype=torch.float64) - N / 2 + 0.5) * 2.0**-40
VALUES = {
    "ones": None,
    "bool": torch.arange(N) % 3 == 0,
    "int64": torch.arange(N) - 300,
    "float32": torch.linspace(-2.0, 2.0**21, N),
    "float64": torch.linspace(-(2.0**21), 3.0, N, dtype=torch.float64),
    "ties": HALVES,
}


def totals(group: Tensor | None, cell: Tensor | None, values: Tensor | None, real: bool) -> Tensor:
    size = (1 if group is None else GROUPS) * (1 if cell is None else CELLS)
    array = torch.full((size, 2), 9, dtype=torch.int64)
    add_at(array[:, 1] if real else array.view(-1)[:size], group, cell, 1 if cell is None else CELLS, values)
    return array


@pytest.mark.parametrize("level", list(levels()))
@pytest.mark.parametrize("grouped", [True, False])
@pytest.mark.parametrize("celled", [True, False])
@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_the_kernel_adds_the_integers_of_its_twin(
    values: Tensor | None, celled: bool, grouped: bool, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (grouped or celled):
        pytest.skip("one total is summed without places")
    g = torch.Generator().manual_seed(0)
    group = torch.randint(GROUPS, (N,), generator=g) if grouped else None
    cell = torch.randint(CELLS, (N,), generator=g) if celled else None
    for real in (True, False):
        use_level(monkeypatch, level)
        found = totals(group, cell, values, real)
        use_kernels(monkeypatch, "0")
        assert torch.equal(found, totals(group, cell, values, real))
        assert not torch.equal(found, torch.full_like(found, 9))


@pytest.mark.parametrize("level", list(levels()))
@pytest.mark.parametrize("groups", [2, 250, 1000, 2**62])
@pytest.mark.parametrize("offset", [0, 5, signed(0x9E3779B97F4A7C15), -(2**63), 2**63 - 1])
def test_the_kernel_hashes_like_its_twin(offset: int, groups: int, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = torch.cat([torch.arange(500), torch.tensor([-1, 2**63 - 1, -(2**63), 2**31, 2**32])])
    use_level(monkeypatch, level)
    found = hashed(ids, offset, groups)
    use_kernels(monkeypatch, "0")
    assert torch.equal(found, hashed(ids, offset, groups))
    assert 0 <= int(found.min()) <= int(found.max()) < groups


def test_the_hash_is_the_finaliser_of_splitmix64() -> None:
    # the first output of the generator with seed 0 is this hash of its increment, of which the lowest bit is dropped
    increment = torch.tensor([signed(0x9E3779B97F4A7C15)])
    assert int(hashed(increment, 0, 2**63 - 1)) == 0xE220A8397B1DCDAF >> 1


def test_empty_input_adds_nothing() -> None:
    none = torch.zeros(0, dtype=torch.int64)
    assert torch.equal(hashed(none, 3, 10), none)
    array = torch.zeros(4, dtype=torch.int64)
    add_at(array, none, None, 1, None)
    assert not array.any()
