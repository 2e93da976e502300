"""The pass over rows with labels: the compiled kernel gives the bits of its twin, for any number of threads."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from softtargets._native import label_rows as tested
from softtargets._native.label_rows import confident_pairs, label_rows
from softtargets._native.library import function

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
WIDTHS = (2, 3, 7, 8, 16, 17, 33, 100)

pytestmark = pytest.mark.skipif(function("label_rows") is None, reason="the compiled kernels are not in use")


def problem(dtype: torch.dtype, classes: int, size: int = 900) -> tuple[Tensor, Tensor, Tensor]:
    """Return probabilities, some with ties, labels, and bounds, of which one is infinite."""
    generator = torch.Generator().manual_seed(classes)
    probs = (2 * torch.randn(size, classes, generator=generator, dtype=torch.float64)).softmax(1)
    probs[::5] = (probs[::5] * 8).round().clamp(min=1)
    probs /= probs.sum(1, keepdim=True)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    bounds = 0.7 * torch.rand(classes, generator=generator).to(wide)
    bounds[-1] = torch.inf
    return probs.to(dtype), torch.randint(classes, (size,), generator=generator), bounds


@pytest.fixture(params=[1, 2])
def _threads(request) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_threads")
@pytest.mark.parametrize("classes", WIDTHS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_kernel_gives_the_bits_of_the_twin(dtype: torch.dtype, classes: int) -> None:
    probs, labels, bounds = problem(dtype, classes, 40_000 // classes)
    found = label_rows(probs, labels, bounds=bounds, best=True, other=True, tolerance=0.03)
    expected = tested._twin(probs, labels, bounds, True, True, 0.03)
    assert found is not None
    assert expected is not None
    for ours, theirs in zip(found, expected, strict=True):
        assert ours is not None
        assert theirs is not None
        assert torch.equal(ours, theirs)
        assert ours.dtype == theirs.dtype


@pytest.mark.usefixtures("_threads")
@pytest.mark.parametrize("classes", WIDTHS)
@pytest.mark.parametrize("dtype", DTYPES[:2], ids=str)
def test_rows_under_several_bounds_give_the_bits_of_the_twin(dtype: torch.dtype, classes: int) -> None:
    probs, labels, _ = problem(dtype, classes)
    bounds = 0.6 * torch.rand(4, classes, dtype=dtype)
    rows, draws = torch.randint(len(labels), (5000,)), torch.randint(4, (5000,)).sort().values
    expected = tested._pairs_twin(probs, labels, rows, draws, bounds)
    assert torch.equal(confident_pairs(probs, labels, rows, draws, bounds), expected)


@pytest.mark.parametrize("bad", [-0.1, 1.2, torch.nan, torch.inf])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("native", [True, False])
def test_a_row_that_does_not_hold_probabilities_is_noticed(dtype: torch.dtype, bad: float, native: bool) -> None:
    for classes in WIDTHS:
        probs, labels, _ = problem(dtype, classes, 60)
        probs[37, -1] = bad
        found = label_rows(probs, labels, tolerance=0.03) if native else tested._twin(*problem_of(probs, labels), 0.03)
        assert found is None
        # unless rows are not checked
        assert label_rows(probs, labels) is not None


def problem_of(probs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, None, bool, bool]:
    return probs, labels, None, False, False


def test_rows_that_are_not_adjacent_and_no_rows() -> None:
    probs, labels, bounds = problem(torch.float32, 10)
    wide = torch.zeros(len(probs), 20)
    wide[:, :10] = probs
    for given in (wide[:, :10], wide.t()[:10].t(), probs.t().contiguous().t()):
        found = label_rows(given, labels, bounds=bounds, best=True)
        expected = tested._twin(probs, labels, bounds, True, False, None)
        assert found is not None
        assert expected is not None
        for place in (0, 1, 3):
            assert torch.equal(found[place], expected[place])  # pyright: ignore[reportArgumentType]
    empty = label_rows(probs[:0], labels[:0], bounds=bounds, best=True, other=True, tolerance=0.1)
    assert empty is not None
    assert [len(part) for part in empty if part is not None] == [0, 0, 0, 0]
