"""What the tests of the compiled kernels share: the choice of a kernel, and agreement with its twin."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from softtargets._native import library
from softtargets._native.build import levels

# arrangements in memory of (21, K) logits
LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "two dimensions of rows": lambda z: z.view(3, 7, -1),
    "classes in dimension 1": lambda z: z.view(3, 7, -1).permute(0, 2, 1).contiguous().movedim(1, -1),
    "transposed": lambda z: z.T.contiguous().T,
    "every second row": lambda z: torch.stack([z, z], 1)[:, 0],
    "three groups of rows": lambda z: z.view(3, 7, 1, -1).permute(1, 3, 2, 0).contiguous().permute(3, 0, 2, 1),
    "every second class": lambda z: torch.stack([z, z], -1)[..., 0],
}


def use_kernels(monkeypatch: pytest.MonkeyPatch, wanted: str) -> None:
    """Set SOFTTARGETS_NATIVE for the rest of a test: "0" for torch operations, "1" for the compiled kernels."""
    monkeypatch.setenv(library.VARIABLE, wanted)
    library.forget()
    if wanted != "0" and library.library() is None:
        pytest.skip(library.status())


def use_level(monkeypatch: pytest.MonkeyPatch, level: str) -> None:
    """Choose the kernels of one instruction set for the rest of a test; skip the test if the processor lacks it."""
    use_kernels(monkeypatch, "1")
    found = library.library()
    assert found is not None
    if tuple(levels()).index(level) > found.handle.best_level_base():
        pytest.skip(f"this processor has no {level}")
    use_kernels(monkeypatch, level)


def agree(found: Tensor, expected: Tensor, dtype: torch.dtype, scale: Tensor | float, units: int) -> None:
    """Require agreement to some units in the last place of the largest number that both are computed from."""
    eps = torch.finfo(dtype).eps
    close = (found - expected).abs() <= units * eps * torch.maximum(expected.abs(), torch.as_tensor(scale).to(expected))
    same = close | (found == expected) | (found.isnan() & expected.isnan())
    assert bool(same.all()), (found[~same][:5], expected[~same][:5])
