"""Tensors seen as rows: the strides of a view are those of the tensor that torch would make."""

import pytest
import torch
from kernels import LAYOUTS

from softtargets._native.row_views import UNIT, view_of


@pytest.mark.parametrize("name", list(LAYOUTS))
def test_the_entries_of_a_view_are_those_of_the_tensor(name: str) -> None:
    z = LAYOUTS[name](torch.arange(21.0 * 16).view(21, 16))
    view = view_of(z.shape, (z.stride(), None), 2)
    assert view is not None
    outer, inner, entry = view.strides[0]
    assert view.rows == z.shape[:-1].numel()
    assert 16 % view.unit == 0
    seen = z.as_strided(view.groups, (outer * view.unit, inner * view.unit, entry))
    assert torch.equal(seen.reshape(-1, 16), z.reshape(-1, 16))


def test_three_groups_of_rows_have_no_view() -> None:
    z = torch.zeros(5, 4, 3, 2).permute(2, 1, 0, 3)
    assert view_of(z.shape, (z.stride(),), 1) is None
    assert view_of(z.shape, (z.contiguous().stride(), z.stride()), 2) is None


def test_a_tensor_that_may_be_copied_is_copied_if_it_has_other_groups() -> None:
    z, weights = torch.zeros(4, 6, 32), torch.arange(4.0 * 6 * 32).view(6, 4, 32).transpose(0, 1)
    view = view_of(z.shape, (z.stride(), weights.stride()), 1)
    assert view is not None
    assert view.unit == UNIT
    assert view.inner is None
    tensor, *strides = view.matrix(1, weights)
    assert tensor.is_contiguous()
    assert torch.equal(tensor.view(weights.shape), weights)
    assert strides == [24 * 32 // UNIT, 32 // UNIT, 1]
    assert view.matrix(0, None) == (None, 0, 0, 0)
