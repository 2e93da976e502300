"""The code for CUDA on tensors of the CPU: the kernels run under Triton's interpreter, or are only counted."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor

from softtargets import _checks
from softtargets._native import on_cuda, wrong_label
from softtargets.losses import _cross_entropy
from softtargets.losses._engine import label_path

CPU = torch.device("cpu")

# operations of torch that only allocate or return a view, so that nothing is launched on a GPU
FREE = frozenset(
    f"aten::{name}"
    for name in (
        *("empty", "empty_like", "empty_strided", "new_empty", "view", "view_as", "expand", "expand_as", "as_strided"),
        *("reshape", "_reshape_alias", "detach", "alias", "select", "slice", "split", "narrow", "unsqueeze", "squeeze"),
        *(
            "unflatten",
            "flatten",
            "t",
            "numpy_T",
            "transpose",
            "movedim",
            "permute",
            "unbind",
            "resolve_conj",
            "resolve_neg",
        ),
    )
)
# operations for whose result the host waits
WAITS = frozenset(
    f"aten::{name}"
    for name in ("item", "_local_scalar_dense", "is_nonzero", "equal", "nonzero", "masked_select", "_unique2")
)


def pretend_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tensors of the CPU take the way of tensors on CUDA for the rest of a test."""
    monkeypatch.setattr(on_cuda, "takes", lambda z: True)
    monkeypatch.setattr(on_cuda, "_reporting", {CPU})
    monkeypatch.setattr(_checks, "on_host", lambda tensor: False)
    monkeypatch.setattr(label_path, "simple", lambda *given: False)
    monkeypatch.setattr(_cross_entropy, "of_smoothed", lambda *given, **settings: None)
    wrong_label.taken(CPU)


@dataclass
class Kernels:
    """Takes the place of the module of the kernels, and counts their launches."""

    launched: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> "_Kernel":
        return _Kernel(name, self.launched)


@dataclass
class _Kernel:
    name: str
    launched: list[str]

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
        def launch(*given: Any, **constants: Any) -> None:
            self.launched.append(self.name)

        return launch


@dataclass
class Work:
    """What a call makes an accelerator do: the kernels of this library, operations of torch, and waits of the host."""

    kernels: list[str]
    launches: Counter[str]
    waits: Counter[str]


def work_of(call: Callable[[], object], kernels: Kernels) -> Work:
    """Run a call and return what it launches and waits for."""
    kernels.launched.clear()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], acc_events=True) as profile:
        call()
    launches: Counter[str] = Counter()
    waits: Counter[str] = Counter()
    for event in profile.events() or ():
        waits[event.name] += event.name in WAITS
        launches[event.name] += _outermost(event) and _launches(event)
    return Work(list(kernels.launched), +launches, +waits)


def _outermost(event: Any) -> bool:
    """Return whether an event is an operation that no other operation called."""
    if not event.name.startswith("aten::"):
        return False
    parent = event.cpu_parent
    while parent is not None:
        if parent.name.startswith("aten::"):
            return False
        parent = parent.cpu_parent
    return True


def _launches(event: Any) -> bool:
    """Return whether an operation computes or copies anything; a conversion that is not needed does not."""
    if event.name in FREE or event.name in WAITS:
        return False
    if event.name in ("aten::to", "aten::contiguous", "aten::_to_copy"):
        return any(child.name == "aten::copy_" or _launches(child) for child in event.cpu_children)
    return True


def backward_of(loss: Callable[..., Tensor], *leaves: Tensor) -> Callable[[], None]:
    """Return the backward pass of a loss of leaves."""
    value = loss(*leaves)
    return lambda: value.backward()
