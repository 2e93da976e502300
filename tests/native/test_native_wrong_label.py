"""The memory in which a kernel reports a label that is out of range."""

import pytest
import torch

from softtargets._errors import InputError
from softtargets._native import wrong_label

CPU = torch.device("cpu")


@pytest.mark.parametrize("label", [-1, 3, 2**40])
def test_a_label_is_reported_once(label: int) -> None:
    assert wrong_label.taken(CPU) == 0
    wrong_label.memory(CPU)[0] = label
    with pytest.raises(InputError, match=rf"targets: labels of at least 0 and below 3, .*; got {label} on cpu"):
        wrong_label.check(CPU, 3)
    wrong_label.check(CPU, 3)
    assert int(wrong_label.memory(CPU)) == 0


def test_a_device_without_kernels_reports_nothing() -> None:
    wrong_label.check(torch.device("cuda", 77), 3)
