"""``python -m benchmarks.jobs``: CPU time and peak memory of `evaluate` and `audit` as commands; writes to RESULTS.md.

Each command is one process with one thread. Two more are measured for comparison: importing the job, and the command on
a few rows of the same file, which is what its page and its intervals take.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file

from benchmarks import goals, machine, pages
from benchmarks.goals import Measured

CHUNK = 100_000
FEW = 2_000
# The peak of a process counts the memory of the process that starts it, so a small one does: it writes what the command
# took, and the number by which it ended, to a file.
STARTER = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[2:])
_, status, usage = os.wait4(process.pid, 0)
code = os.waitstatus_to_exitcode(status)
with open(sys.argv[1], "w") as file:
    print(code, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, file=file)
"""
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Job:
    """A command. Its goals are those of its name and of its name with "-memory".

    Args:
        name: the command.
        rows, classes: shape of the predictions.
    """

    name: str
    rows: int
    classes: int

    def command(self, file: Path, output: Path) -> list[str]:
        """Return the command line."""
        files = ["--predictions", str(file)] if self.name == "audit" else [str(file)]
        program = [sys.executable, "-c", "from softtargets.cli import main; main()"]
        return [*program, self.name, *files, "--output", str(output)]


JOBS = (Job("evaluate", 10_000_000, 10), Job("audit", 1_000_000, 100))


@dataclass(frozen=True)
class Spent:
    """What one process took, with its children: CPU seconds and peak memory in MB."""

    seconds: float
    megabytes: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the jobs and write the section."""
    options = _parser().parse_args(arguments)
    described, measured = machine.describe(torch.device("cpu")), []
    lines = [
        "# Jobs as commands",
        "",
        *(f"- {name}: {value}" for name, value in described.items()),
        f"- one process and one thread each; medians of n = {options.rounds}; float32 probabilities in .safetensors",
        "",
        "| command | rows × classes | CPU seconds | peak memory, MB |",
        "|---|---|---:|---:|",
    ]
    for job in JOBS:
        rows, found = measure(job, rounds=options.rounds, scale=options.scale)
        lines += rows
        measured += found
    lines += ["", goals.line(measured)]
    pages.put(options.out, "jobs", "\n".join(lines), measured, described)
    return 0


def measure(job: Job, *, rounds: int, scale: float = 1.0) -> tuple[list[str], list[Measured]]:
    """Return the rows of the table for one job (its import, the command on few rows, and on all rows) and its values.

    There are values only for all rows, not for a share of them.
    """
    rows = max(FEW, round(scale * job.rows))
    with tempfile.TemporaryDirectory(prefix=f"{job.name}-") as folder:
        paths = {count: Path(folder) / f"{count}.safetensors" for count in (FEW, rows)}
        for count, path in paths.items():
            write_predictions(path, count, job.classes)
        commands = {f"import of `{job.name}`": ([sys.executable, "-c", f"import softtargets.{job.name}"], 0)}
        for count, path in paths.items():
            commands[f"`{job.name}`, {count:,} rows"] = (job.command(path, Path(folder) / "page"), count)
        spent: dict[str, list[Spent]] = {name: [] for name in commands}
        for _ in range(rounds):
            for name, (command, _) in commands.items():
                spent[name].append(run(command))
    lines, measured = [], []
    for name, (_, count) in commands.items():
        seconds = statistics.median(one.seconds for one in spent[name])
        megabytes = statistics.median(one.megabytes for one in spent[name])
        shape = f"{count:,} × {job.classes}" if count else "–"
        if count == job.rows:
            measured += [
                Measured(job.name, shape, seconds, rounds),
                Measured(f"{job.name}-memory", shape, megabytes, rounds),
            ]
        lines.append(f"| {name} | {shape} | {seconds:.1f} | {megabytes:.0f} |")
    return lines, measured


def run(command: Sequence[str]) -> Spent:
    """Run a command to its end and return what it took.

    Raises:
        RuntimeError: if it fails, with the end of what it printed.
    """
    environment = os.environ | dict.fromkeys(THREADS, "1")
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "spent"
        starter = [sys.executable, "-I", "-S", "-c", STARTER, str(report), *command]
        done = subprocess.run(
            starter, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, text=True, check=True
        )
        code, seconds, peak = report.read_text().split()
    if int(code):
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Spent(float(seconds), int(peak) * unit / 2**20)


def write_predictions(path: Path, rows: int, classes: int) -> None:
    """Write float32 probabilities and labels, a tenth of them redrawn uniformly."""
    generator = torch.Generator().manual_seed(0)
    probs, labels = torch.empty(rows, classes), torch.randint(classes, (rows,), generator=generator)
    for some, clean in zip(probs.split(CHUNK), labels.split(CHUNK), strict=True):
        logits = torch.randn(some.shape, generator=generator)
        logits[torch.arange(len(clean)), clean] += 3.5
        some.copy_(logits.mul_(1.5).softmax(1))
    redrawn = torch.rand(rows, generator=generator) < 0.1
    drawn = torch.randint(classes, (rows,), generator=generator)
    save_file({"probs": probs, "labels": torch.where(redrawn, drawn, labels)}, path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.jobs", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1, help="number of rounds (default: 1)")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the rows, for a quick test (default: 1)")
    parser.add_argument("--out", type=Path, default=Path("benchmarks"), help="output folder (default: benchmarks)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
