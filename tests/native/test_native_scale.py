"""Rows multiplied by numbers with torch operations; `test_native_triton.py` tests the kernel for CUDA."""

import pytest
import torch

from softtargets._native.scale import scale_rows


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_factor_per_row_or_one_for_all(dtype: torch.dtype) -> None:
    values = torch.arange(6.0).view(2, 3).to(dtype)
    scale_rows(values, torch.tensor([1.0, 2.0]))
    assert values.tolist() == [[0.0, 1.0, 2.0], [6.0, 8.0, 10.0]]
    scale_rows(values, torch.tensor(0.5))
    assert values.tolist() == [[0.0, 0.5, 1.0], [3.0, 4.0, 5.0]]
    assert values.dtype == dtype
