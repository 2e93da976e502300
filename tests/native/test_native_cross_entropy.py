"""The kernel against its twin: the same numbers for every form of target, layout and precision, on every level."""

import pytest
import torch
from kernels import LAYOUTS, agree, use_kernels, use_level
from torch import Tensor

from softtargets import _native
from softtargets._errors import InputError
from softtargets._native import library
from softtargets._native.build import levels
from softtargets._native.cross_entropy import cross_entropy_rows, cross_entropy_total, label_losses, label_total
from softtargets._native.row_targets import RowTargets
from softtargets._numerics import accumulating

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
SIZES = (2, 3, 10, 16, 17, 100, 1000, 5003)
ROWS = 21


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def forms(size: int) -> dict[str, RowTargets]:
    """Return targets of every form for ROWS rows of `size` classes."""
    g = generator(size)
    index = torch.randint(size, (ROWS, 1), generator=g)
    several = torch.randint(size, (ROWS, 4), generator=g)
    many = torch.randint(size, (ROWS, 20), generator=g)
    value, rest = torch.rand(ROWS, 4, generator=g), torch.rand(ROWS, generator=g)
    prior = torch.rand(size, generator=g, dtype=torch.float64)
    prior[0] = 0.0
    valid = torch.rand(ROWS, size, generator=g) < 0.7
    valid.scatter_(1, several, True).scatter_(1, index, True)
    row, table = torch.randint(5, (ROWS,), generator=g), torch.randn(5, size, generator=g, dtype=torch.float64)
    dense = torch.randn(ROWS, size, generator=g)
    left_out = torch.rand(ROWS, generator=g) < 0.3
    one = torch.tensor(0.9, dtype=torch.float64).expand(ROWS, 1)
    tenth = torch.tensor(0.1, dtype=torch.float64).expand(ROWS)
    return {
        "labels": RowTargets(index),
        "labels, left out": RowTargets(index, left_out=left_out),
        "smoothed": RowTargets(index, one, tenth),
        "smoothed per row": RowTargets(index, 1 - rest[:, None], rest),
        "several classes": RowTargets(several, value, rest),
        "many classes": RowTargets(many, rest=rest, left_out=left_out),
        "prior": RowTargets(several, value, rest, prior),
        "valid": RowTargets(index, one, tenth, valid=valid),
        "valid for all": RowTargets(index, one, tenth, valid=torch.ones(size, dtype=torch.bool)),
        "valid and prior": RowTargets(index, one, tenth, prior, valid=valid),
        "table": RowTargets(weights=table, row=row),
        "dense": RowTargets(weights=dense, left_out=left_out),
        "dense in half precision": RowTargets(weights=dense.bfloat16()),
        "dense, transposed": RowTargets(weights=dense.T.contiguous().T),
    }


def logits_of(size: int, dtype: torch.dtype) -> Tensor:
    return torch.randn(ROWS, size, generator=generator(1), dtype=torch.float64).mul(4).to(dtype)


def both(
    monkeypatch: pytest.MonkeyPatch, level: str, z: Tensor, rows: RowTargets, scale: Tensor | float
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Return losses, gradient and total of the kernel of a level, then of the twin."""
    found = []
    for wanted in (level, "0"):
        use_kernels(monkeypatch, wanted)
        gradient, again = torch.empty_like(z), torch.empty_like(z)
        losses = cross_entropy_rows(z, rows, scale, gradient)
        total = cross_entropy_total(z, rows, True, 0.5, again)
        found.append((losses, gradient, total))
    return found


@pytest.mark.parametrize("level", list(levels()))
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_kernel_agrees_with_its_twin(
    dtype: torch.dtype, size: int, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_level(monkeypatch, level)
    z, wide = logits_of(size, dtype), accumulating(dtype)
    scale = torch.rand(ROWS, generator=generator(2)).to(wide)
    for rows in forms(size).values():
        (losses, gradient, total), (losses2, gradient2, total2) = both(monkeypatch, level, z, rows, scale)
        weights = float(rows.index.shape[-1]) if rows.index is not None else float(_weights_of(rows))
        largest = (z.double().abs().max() + 10) * weights
        assert losses.dtype == total.dtype == wide
        units = 2 if size <= 100 else 10  # torch's sum of many exponentials is rounded more often
        agree(losses, losses2, wide, largest, units)
        agree(total, total2, wide, largest, units)
        agree(gradient, gradient2, dtype, weights, units)


def _weights_of(rows: RowTargets) -> Tensor:
    assert rows.weights is not None
    return rows.weights.abs().sum(-1).max().double()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_logits_that_are_not_finite(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    inf = torch.inf
    z = torch.tensor([[0.0, -inf, 1.0], [-inf, -inf, -inf], [inf, 0.0, 1.0], [torch.nan, 0.0, 1.0], [-inf, 2.0, -inf]])
    z = z.to(dtype)
    index = torch.tensor([[0], [0], [0], [1], [1]])
    tenth = torch.tensor(0.1).expand(5)
    prior = torch.tensor([0.5, 0.25, 0.25])
    zero = torch.tensor([[1.0, 0.0, 0.0]]).expand(5, 3)
    for rows in (
        RowTargets(index),
        RowTargets(index, None, tenth),
        RowTargets(index, None, tenth, prior),
        RowTargets(weights=zero),
    ):
        kernel, twin = both(monkeypatch, "1", z, rows, 1.0)
        for one, other in zip(kernel, twin, strict=True):
            torch.testing.assert_close(one, other, equal_nan=True)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("arrange", LAYOUTS.values(), ids=list(LAYOUTS))
def test_every_layout_gives_the_same_bits(arrange, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    use_kernels(monkeypatch, "1")
    plain = logits_of(10, dtype)
    for rows in forms(10).values():
        expected = torch.empty_like(plain)
        losses = cross_entropy_rows(plain, rows, 0.5, expected)
        z = arrange(plain)
        shaped = _shaped(rows, z.shape[:-1])
        gradient = torch.empty_like(z)
        assert torch.equal(cross_entropy_rows(z, shaped, 0.5, gradient).flatten(), losses)
        assert torch.equal(gradient.reshape(plain.shape), expected)
        work = z.clone()
        cross_entropy_rows(work, shaped, 0.5, work)
        assert torch.equal(work.reshape(plain.shape), expected)


def _shaped(rows: RowTargets, shape: torch.Size) -> RowTargets:
    def leading(tensor: Tensor | None, last: int) -> Tensor | None:
        return None if tensor is None else tensor.reshape(*shape, *tensor.shape[tensor.ndim - last :])

    valid = rows.valid if rows.valid is None or rows.valid.ndim == 1 else leading(rows.valid, 1)
    weights = rows.weights if rows.row is not None else leading(rows.weights, 1)
    index, value, rest = leading(rows.index, 1), leading(rows.value, 1), leading(rows.rest, 0)
    return RowTargets(index, value, rest, rows.prior, weights, leading(rows.row, 0), valid, leading(rows.left_out, 0))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_bits_do_not_depend_on_the_number_of_threads(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    use_kernels(monkeypatch, "1")
    z = torch.randn(3000, 50, generator=generator(), dtype=torch.float64).to(dtype)
    labels = torch.randint(50, (3000,), generator=generator(1))
    found, before = [], torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            gradient = torch.empty_like(z)
            total = label_total(z, labels, 0.1, -100, 1.0, True, gradient)
            assert total is not None
            found.append((total, gradient, label_losses(z, labels, 0.1, None, None)))
    finally:
        torch.set_num_threads(before)
    for total, gradient, losses in found[1:]:
        assert torch.equal(total, found[0][0])
        assert torch.equal(gradient, found[0][1])
        assert torch.equal(losses, found[0][2])


def test_a_label_out_of_range_is_declined_before_anything_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    use_kernels(monkeypatch, "1")
    z = torch.randn(4, 3, generator=generator())
    for bad in (3, -1, 2**40):
        labels = torch.tensor([0, 1, bad, 2])
        gradient = torch.full_like(z, 7.0)
        assert label_total(z, labels, 0.0, -100, 1.0, True, gradient) is None
        assert label_losses(z, labels, 0.0, 1.0, gradient) is None
        assert bool((gradient == 7).all())
    left_out = torch.tensor([0, -100, 1, 2])
    assert label_total(z, left_out, 0.0, -100, 1.0, True, None) is not None


@pytest.mark.parametrize(
    "rows",
    [
        RowTargets(torch.tensor([[0], [3]])),
        RowTargets(torch.tensor([[0, 1], [2, -1]])),
        RowTargets(weights=torch.ones(2, 3), row=torch.tensor([0, 2])),
    ],
)
def test_memory_outside_the_tensors_is_not_read(rows: RowTargets, monkeypatch: pytest.MonkeyPatch) -> None:
    use_kernels(monkeypatch, "1")
    with pytest.raises(
        InputError,
        match="targets: classes below 3, and rows that exist in the table; got a class or row that is out of range",
    ):
        cross_entropy_rows(torch.zeros(2, 3), rows, None, None)


def test_the_status_says_which_code_is_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    use_kernels(monkeypatch, "0")
    assert library.status() == "torch operations (SOFTTARGETS_NATIVE=0)"
    use_kernels(monkeypatch, "base")
    assert library.status() == "compiled kernels (baseline instructions)"
    with pytest.raises(InputError, match=r"SOFTTARGETS_NATIVE: one of 0, 1.*; got 'yes'; unset it"):
        use_kernels(monkeypatch, "yes")
    assert _native.__doc__ is not None
