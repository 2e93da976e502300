"""Products that are summed in a wider dtype; the numbers of CUDA's own overload need a GPU."""

import pytest
import torch

from softtargets._native import products


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_product_is_added(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    total, left = (torch.randn(4, n, dtype=dtype, generator=generator) for n in (3, 5))
    right = torch.randn(5, 3, dtype=dtype, generator=generator)
    expected = total + left @ right
    products.add_product(total, left, right)
    torch.testing.assert_close(total, expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_where_torch_has_no_such_product_it_is_rounded_once_per_chunk(dtype: torch.dtype) -> None:
    total, left, right = torch.ones(4, 3), torch.full((4, 5), 2.0, dtype=dtype), torch.ones(5, 3, dtype=dtype)
    products.add_product(total, left, right)
    assert total.dtype == torch.float32
    assert total.eq(11.0).all()


def test_the_rows_of_a_chunk() -> None:
    assert products.rows_of_a_chunk(4096, 512, half=False) == 128
    assert products.rows_of_a_chunk(4096, 512, half=True) == 512
    assert products.rows_of_a_chunk(32768, 4096, half=True) == 4096
    assert products.rows_of_a_chunk(10, 8, half=False) == products.FEWEST
