"""``python -m benchmarks.where``: where the time of the loss goes, by operation, ours and torch's, into PROFILE.md."""

import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from benchmarks import contenders, machine

SHAPES = [(65536, 100), (8192, 1000), (2048, 32000)]
CALLS = 5
LEAST = 0.02
ABOUT = """# Where the time goes

Milliseconds of one call, forward and backward, smoothing 0.1, by operation (torch's profiler, mean of {calls} calls;
its own cost, which counts for most where calls are many, is in the numbers). What takes less than 2 % is in *the rest*.
`_Chunked` is the Python between the operations of ours. Made by `make bench`; {origin}.

- Ours goes over a chunk while it lies in the cache: `amax` reads the logits from memory, `sub` writes the gradient's
  new pages, all that follows works on what is there. `copy_` (with bfloat16) converts to float32 and back.
- In the wide shapes new pages are the cost: what `sub` takes beyond `sub_`, of the same size, is their first touch. In
  place there are none, and a loss takes half the time.
- In the middle shapes the same dozen passes are short, each waits for both threads to meet, and torch's own buffers are
  small enough for its allocator to have pages at hand.
"""


def main(folder: Path = Path("benchmarks")) -> None:
    """Profile every shape in both precisions and write the page."""
    parts = [ABOUT.format(calls=CALLS, origin=_origin())]
    for dtype in (torch.float32, torch.bfloat16):
        for rows, size in SHAPES:
            z = (3 * torch.randn(rows, size)).to(dtype).requires_grad_()
            labels = torch.randint(size, (rows,))
            parts.append(f"## {rows}×{size}, {str(dtype).removeprefix('torch.')}\n")
            for name, make in (("ours", contenders.smoothed_ours), ("torch", contenders.smoothed)):
                parts.append(_table(name, make(labels), z))
    (folder / "PROFILE.md").write_text("\n".join(parts))


def _table(name: str, loss: Callable[[Tensor], Tensor], z: Tensor) -> str:
    def call() -> None:
        z.grad = None
        loss(z).backward()

    call()
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        for _ in range(CALLS):
            call()
    found = {
        e.key.removeprefix("aten::"): (e.self_cpu_time_total / CALLS / 1e3, e.count / CALLS)
        for e in seen.key_averages()
    }
    total = sum(ms for ms, _ in found.values())
    shown = sorted((item for item in found.items() if item[1][0] >= LEAST * total), key=lambda item: -item[1][0])
    rest = total - sum(ms for _, (ms, _) in shown)
    lines = [f"| {name} | ms | calls |", "|---|---:|---:|"]
    lines += [f"| `{key}` | {ms:.2f} | {count:.0f} |" for key, (ms, count) in shown]
    return "\n".join([*lines, f"| the rest | {rest:.2f} | |", f"| **all** | **{total:.1f}** | |", ""])


def _origin() -> str:
    return ", ".join(f"{key} {value}" for key, value in machine.describe(torch.device("cpu")).items() if value)


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:]))
