"""The machine that trains runs: its thread and precision settings, and its description for the record."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from softtargets._native.library import status
from softtargets._version import package_version
from softtargets.runs.spec import ResolvedRun


def fast_bfloat16(backend: str) -> bool:
    """Return whether this machine multiplies matrices faster in bfloat16 than in float32."""
    if backend == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # not AVX-512 BF16: on Intel's processors without AMX, products and convolutions take twice as long in it
    return torch.cpu._is_amx_tile_supported()


@contextmanager
def quiet_machine(threads: int) -> Iterator[None]:
    """Run with this many intra-op threads and deterministic kernels; restore the caller's settings afterwards."""
    before = torch.get_num_threads(), torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    torch.set_num_threads(threads)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    try:
        with torch.random.fork_rng():
            yield
    finally:
        torch.set_num_threads(before[0])
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = before[1:]


def environment(resolved: ResolvedRun) -> dict[str, str]:
    """Return software versions and hardware, for the record.

    The kernels are recorded here and are not part of a run's identity. Like torch's own operations, they use the
    instruction set of the processor, which changes the last bits of a run's numbers and not what the run is.
    """
    device = torch.cuda.get_device_name() if resolved.backend == "cuda" else processor_name()
    return {
        "softtargets": package_version(),
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "device": device,
        "cores": str(os.cpu_count()),
        "threads": str(resolved.run.training.threads),
        "precision": resolved.precision,
        "kernels": status(),
    }


def processor_name() -> str:
    """Return the processor's model name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
