"""Time and peak memory of one call."""

import os
import time
from collections.abc import Callable
from typing import Any

import torch

# silences the profiler's log
os.environ.setdefault("KINETO_LOG_LEVEL", "99")

Call = Callable[[], object]


# more than the second-level cache of any GPU so far
FLUSHED = 2**28
# cycles of about 1 ms, in which the host queues a call
AHEAD = 2_000_000


def seconds(call: Call, device: torch.device) -> float:
    """Return the wall-clock time of one call on the CPU; on a GPU, the time that the GPU takes.

    On a GPU the second-level cache is flushed before, and the host is ahead of the GPU, as in a training loop, so that
    launching kernels costs no time unless it takes longer than running them. See :func:`latency`.
    """
    if device.type == "cuda":
        return _seconds_on_cuda(call, device)
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def latency(call: Call, device: torch.device) -> float:
    """Return the wall-clock time of one call including its launch and, on a GPU, the wait for its result."""
    _wait(device)
    start = time.perf_counter()
    call()
    _wait(device)
    return time.perf_counter() - start


def _seconds_on_cuda(call: Call, device: torch.device) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.empty(FLUSHED, dtype=torch.uint8, device=device).zero_()
    _wait(device)
    torch.cuda._sleep(AHEAD)
    start.record()
    call()
    end.record()
    _wait(device)
    return start.elapsed_time(end) / 1e3


def peak_bytes(call: Call, device: torch.device) -> int:
    """Return the peak memory that torch allocated during the call, beyond what was allocated before."""
    return _peak_on_cuda(call, device) if device.type == "cuda" else _peak_on_cpu(call)


def _peak_on_cuda(call: Call, device: torch.device) -> int:
    _wait(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    call()
    _wait(device)
    return torch.cuda.max_memory_allocated(device) - before


def _peak_on_cpu(call: Call) -> int:
    """Sum the allocator's allocations and frees in order of time, ignoring memory allocated before."""
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True, acc_events=True
    ) as profile:
        call()
    # the public API only gives sums per operation, without the order
    profiler: Any = profile.profiler
    events = profiler.kineto_results.events()
    changes = [(event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]"]
    held = peak = 0
    for _, size in sorted(changes, key=lambda change: change[0]):
        held += size
        peak = max(peak, held)
    return peak


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
