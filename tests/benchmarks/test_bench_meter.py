"""The meter of memory against allocations that can be counted."""

import pytest
import torch

from benchmarks import meter

CPU = torch.device("cpu")
SIZE = 1 << 18


def _buffers(call) -> float:
    return meter.peak_bytes(call, CPU) / (4 * SIZE)


def test_what_is_held_at_once_is_counted() -> None:
    def call() -> None:
        a, b, c = (torch.empty(SIZE) for _ in range(3))
        del a, b, c
        torch.empty(SIZE)

    assert _buffers(call) == 3.0


def test_what_is_freed_in_between_is_not() -> None:
    def call() -> None:
        for _ in range(5):
            torch.empty(SIZE)

    assert _buffers(call) == 1.0


def test_what_was_held_before_and_is_freed_makes_no_room() -> None:
    held = [torch.empty(SIZE)]

    def call() -> None:
        a = torch.empty(SIZE)
        held.clear()
        b = torch.empty(SIZE)
        del a, b

    assert _buffers(call) == 2.0


def test_inside_an_operation_and_in_the_backward_pass() -> None:
    leaf = torch.ones(SIZE, requires_grad=True)
    # exp keeps its result for its gradient, which is the other buffer; a scalar or two beside them
    assert _buffers(lambda: leaf.exp().sum().backward()) == pytest.approx(2.0, abs=1e-3)


def test_nothing_allocated_is_0() -> None:
    tensor = torch.ones(SIZE)
    assert _buffers(lambda: tensor.add_(1)) == pytest.approx(0.0, abs=1e-3)


def test_the_clock_returns_seconds() -> None:
    assert meter.seconds(lambda: None, CPU) >= 0
