"""The rank of the label: the kernel and its twin give the same integers."""

import pytest
import torch
from kernels import use_kernels, use_level

from softtargets._native.build import levels
from softtargets._native.label_ranks import label_ranks


@pytest.mark.parametrize("level", list(levels()))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("num_classes", [2, 3, 10, 33, 1000])
def test_the_kernel_gives_the_ranks_of_its_twin(
    num_classes: int, dtype: torch.dtype, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_level(monkeypatch, level)
    g = torch.Generator().manual_seed(num_classes)
    # few different values, so that there are ties
    values = torch.randint(-3, 4, (200, num_classes), generator=g).to(dtype)
    values[:20] = -torch.inf
    values[:20, -1] = 0
    labels = torch.randint(num_classes, (200,), generator=g)
    use_kernels(monkeypatch, level)
    ranks = label_ranks(values, labels)
    use_kernels(monkeypatch, "0")
    assert torch.equal(ranks, label_ranks(values, labels))
    order = values.double().argsort(dim=1, descending=True, stable=True)
    assert torch.equal(ranks, (order == labels[:, None]).int().argmax(1))


def test_a_transposed_tensor_and_no_rows() -> None:
    values = torch.tensor([[0.2, 0.7], [0.8, 0.3]]).T
    assert label_ranks(values, torch.tensor([0, 0])).tolist() == [1, 0]
    assert label_ranks(values[:0], torch.zeros(0, dtype=torch.int64)).tolist() == []
