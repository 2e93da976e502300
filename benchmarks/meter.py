"""Time and peak memory of one call."""

import os
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

# silences the profiler's log
os.environ.setdefault("KINETO_LOG_LEVEL", "99")

Call = Callable[[], object]


# bytes, more than the second-level cache of any GPU so far
FLUSHED = 2**28
# a GPU's cycles per second, at most
CLOCK = 2e9
# the GPU is kept busy for this many times the host's time of a call, but from SHORTEST to LONGEST seconds
AHEAD, SHORTEST, LONGEST = 4.0, 1e-3, 50e-3


class Spent(NamedTuple):
    """The time of one call.

    Args:
        seconds: wall-clock time on the CPU; on a GPU, the time that the GPU takes.
        ahead: whether the host had queued the whole call before the GPU began with it. If not, `seconds` contains time
            in which the GPU waited for the host. Always True on the CPU.
    """

    seconds: float
    ahead: bool = True


def seconds(call: Call, device: torch.device, host: float = 0.0) -> Spent:
    """Time one call: on the CPU with the clock, on a GPU with its events.

    On a GPU the second-level cache is flushed before, and the GPU is kept busy while the host queues the call, as in a
    training loop, so that launching kernels costs no time. See :func:`latency`.

    Args:
        call: what is timed.
        device: where it computes.
        host: seconds that the host needs to queue the call, from :func:`host_seconds`.
    """
    if device.type == "cuda":
        return _seconds_on_cuda(call, device, host)
    start = time.perf_counter()
    call()
    return Spent(time.perf_counter() - start)


def host_seconds(call: Call, device: torch.device) -> float:
    """Return the wall-clock time until one call returns, without the wait for its result."""
    _wait(device)
    start = time.perf_counter()
    call()
    spent = time.perf_counter() - start
    _wait(device)
    return spent


def latency(call: Call, device: torch.device) -> float:
    """Return the wall-clock time of one call including its launch and, on a GPU, the wait for its result."""
    _wait(device)
    start = time.perf_counter()
    call()
    _wait(device)
    return time.perf_counter() - start


def _seconds_on_cuda(call: Call, device: torch.device, host: float) -> Spent:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.empty(FLUSHED, dtype=torch.uint8, device=device).zero_()
    _wait(device)
    torch.cuda._sleep(int(CLOCK * min(LONGEST, max(SHORTEST, AHEAD * host))))
    start.record()
    call()
    end.record()
    ahead = not start.query()
    _wait(device)
    return Spent(start.elapsed_time(end) / 1e3, ahead)


def crashed(device: torch.device) -> bool:
    """Return whether the GPU can no longer be used by this process, as after a failed assertion in a kernel."""
    try:
        _wait(device)
    except RuntimeError:
        return True
    return False


def reason(error: Exception) -> str:
    """Return the type of an error and the first line of its message."""
    return f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0]}"


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
