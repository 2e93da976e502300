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
    assert meter.seconds(lambda: None, CPU).seconds >= 0
    assert meter.host_seconds(lambda: None, CPU) >= 0


class _Gpu:
    """A GPU whose clock and the host's are counted in seconds; it executes what the host queues, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = self.free = 0.0
        gpu = self

        class Event:
            def __init__(self, *, enable_timing: bool) -> None:
                self.at = 0.0

            def record(self) -> None:
                self.at = max(gpu.free, gpu.now)

            def query(self) -> bool:
                return self.at <= gpu.now

            def elapsed_time(self, end: "Event") -> float:
                return 1e3 * (end.at - self.at)

        monkeypatch.setattr(torch.cuda, "Event", Event)
        monkeypatch.setattr(torch.cuda, "_sleep", lambda cycles: self.queue(0.0, cycles / meter.CLOCK))
        monkeypatch.setattr(torch.cuda, "synchronize", lambda device: self.wait())
        empty = torch.empty
        monkeypatch.setattr(torch, "empty", lambda *given, **settings: empty(1, dtype=torch.uint8))
        monkeypatch.setattr(meter.time, "perf_counter", lambda: self.now)

    def queue(self, host: float, seconds: float) -> None:
        """Spend time on the host, after which the GPU has this much more to do."""
        self.now += host
        self.free = max(self.free, self.now) + seconds

    def wait(self) -> None:
        self.now = max(self.now, self.free)


CUDA = torch.device("cuda")


def test_the_time_of_a_gpu_does_not_contain_that_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = _Gpu(monkeypatch)

    def call() -> None:
        for _ in range(10):
            gpu.queue(host=0.3e-3, seconds=0.02e-3)

    assert meter.seconds(call, CUDA) == (pytest.approx(3e-3 + 0.02e-3 - 1e-3, abs=1e-3), False), "1 ms is not enough"
    host = meter.host_seconds(call, CUDA)
    assert host == pytest.approx(3e-3)
    assert meter.seconds(call, CUDA, host) == (pytest.approx(0.2e-3), True)


def test_a_call_that_waits_for_the_gpu_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = _Gpu(monkeypatch)

    def call() -> None:
        gpu.queue(host=0.1e-3, seconds=0.1e-3)
        gpu.wait()
        gpu.queue(host=0.1e-3, seconds=0.1e-3)

    assert not meter.seconds(call, CUDA, meter.host_seconds(call, CUDA)).ahead


def test_the_gpu_is_kept_busy_for_a_limited_time(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = _Gpu(monkeypatch)
    before = gpu.now
    assert meter.seconds(lambda: gpu.queue(host=1.0, seconds=0.1), CUDA, host=1.0).ahead is False
    assert gpu.now - before < 2.0


def test_a_gpu_that_cannot_be_used_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(device: torch.device) -> None:
        raise RuntimeError("CUDA error: device-side assert triggered\nand more")

    assert not meter.crashed(CPU)
    monkeypatch.setattr(torch.cuda, "synchronize", broken)
    assert meter.crashed(CUDA)
    assert meter.reason(RuntimeError("one\ntwo")) == "RuntimeError: one"
