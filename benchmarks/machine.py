"""Hardware and versions of a measurement."""

import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module, metadata
from pathlib import Path

import torch

EXTENSIONS = ("avx2", "avx512f", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16")
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


def describe(device: torch.device, peers: Sequence[str] = ("timm", "liger-kernel")) -> dict[str, str]:
    """Return hardware, versions (including those of other libraries) and the date, by name."""
    return {
        "device": _gpu(device) if device.type == "cuda" else _cpu(),
        "torch": torch.__version__,
        "softtargets": _softtargets(),
        "native kernels": _native(),
        **{peer: _version(peer) for peer in peers},
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "load before": " ".join(f"{load:.1f}" for load in os.getloadavg()),
        "date": datetime.now(UTC).date().isoformat(),
    }


def _gpu(device: torch.device) -> str:
    return f"{torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda}"


def _cpu() -> str:
    cores = f"{os.cpu_count()} cores, {torch.get_num_threads()} threads of torch"
    return ", ".join(part for part in (_model(), _extensions(), cores, _caches()) if part)


def _model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _extensions() -> str:
    """Return the vector and matrix extensions that decide the speed of the kernels."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    flags = next((line.split(":", 1)[1].split() for line in lines if line.startswith("flags")), [])
    present = [flag for flag in EXTENSIONS if flag in flags]
    return " ".join(present)


def _native() -> str:
    """Return which code computes the losses."""
    try:
        return import_module("softtargets._native.library").status()
    except ModuleNotFoundError:
        return "none in this version"


def _caches() -> str:
    found = []
    for folder in sorted(CACHES.glob("index*")):
        level, kind, size = ((folder / name).read_text().strip() for name in ("level", "type", "size"))
        if kind != "Instruction":
            found.append(f"L{level} {size}")
    return f"caches {' '.join(found)}" if found else ""


def _softtargets() -> str:
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return _version("softtargets")
    return f"{_version('softtargets')} ({done.stdout.strip()})"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
