"""The kernels of tiles of logits against their twins."""

import pytest
import torch
from kernels import use_kernels, use_level
from torch import Tensor

from softtargets._native.build import levels
from softtargets._native.class_tile import tile_gradient, tile_sums

LEVELS = list(levels())
ROWS = 21
HALF = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)


def tiles(size: int) -> list[Tensor]:
    """Return logits of two tiles of classes; some are masked."""
    g = torch.Generator().manual_seed(size)
    first, second = (torch.randn(ROWS, size, generator=g).mul(4) for _ in range(2))
    first[0] = -torch.inf
    second[1, 0] = -torch.inf
    return [first, second]


def sums(monkeypatch: pytest.MonkeyPatch, level: str, size: int, dtype: torch.dtype) -> list[Tensor]:
    use_kernels(monkeypatch, level)
    top, total, linear = torch.full((ROWS,), torch.finfo(torch.float32).min), torch.zeros(ROWS), []
    made = tiles(size)
    for z in made:
        linear.append(tile_sums(z, dtype, top, total))
    assert all(torch.equal(z, exact.to(dtype).float()) for z, exact in zip(made, tiles(size), strict=True))
    return [top, total, *linear]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("size", [1, 2, 15, 16, 17, 100, 1001])
@HALF
def test_the_sums_agree(dtype: torch.dtype, size: int, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use_level(monkeypatch, level)
    kernel, twin = (sums(monkeypatch, wanted, size, dtype) for wanted in (level, "0"))
    assert torch.equal(kernel[0], twin[0])
    torch.testing.assert_close(kernel[1], twin[1], rtol=1e-6, atol=0)
    for one, other in zip(kernel[2:], twin[2:], strict=True):
        assert one.dtype == torch.float64
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6 * size)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("size", [1, 2, 15, 16, 17, 100, 1001])
@HALF
def test_the_gradients_agree(dtype: torch.dtype, size: int, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use_level(monkeypatch, level)
    g = torch.Generator().manual_seed(3)
    factor, rest = torch.rand(ROWS, generator=g), torch.rand(ROWS, generator=g)
    found = []
    for wanted in (level, "0"):
        top = sums(monkeypatch, wanted, size, dtype)[0]
        made = tiles(size)
        for z in made:
            tile_gradient(z, dtype, top, factor, rest)
        found.append(made)
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=2**-22, atol=2**-22)


@HALF
def test_logits_that_are_not_finite(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    inf = torch.inf
    for wanted in ("1", "0"):
        use_kernels(monkeypatch, wanted)
        z = torch.tensor([[torch.nan, 0.0], [inf, 0.0], [-inf, -inf]])
        top, total = torch.full((3,), torch.finfo(torch.float32).min), torch.zeros(3)
        linear = tile_sums(z, dtype, top, total)
        assert total.isnan().tolist() == [True, True, False]
        assert float(total[2]) == 0
        assert linear.isfinite().tolist() == [False, False, False]
        tile_gradient(z, dtype, top, torch.ones(3), torch.zeros(3))
        assert bool(z[0, 0].isnan())
        assert bool(z[1, 0].isnan())
        assert not bool(z[2].any())


@HALF
def test_the_bits_do_not_depend_on_the_number_of_threads(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    use_kernels(monkeypatch, "1")
    exact = torch.randn(500, 300, generator=torch.Generator().manual_seed(0)).mul(4)
    found, before = [], torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            z, top, total = exact.clone(), torch.zeros(500), torch.zeros(500)
            linear = tile_sums(z, dtype, top, total)
            tile_gradient(z, dtype, top, total.reciprocal(), torch.zeros(500))
            found.append((z, top, total, linear))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(other, found[0], strict=True))
