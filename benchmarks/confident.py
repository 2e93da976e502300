"""``python -m benchmarks.confident --cleanlab PYTHON``: confident joint and ranking, compared with cleanlab.

It writes to RESULTS.md. PYTHON is the interpreter of an environment with cleanlab, which is not a dependency of this
package. Without it only our implementation is measured.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks import goals, machine, pages
from benchmarks.goals import Measured

WORKER = Path(__file__).with_name("confident_worker.py")
TASKS = {
    "joint": "confident joint",
    "ranking": "ranking by self-confidence",
    "suspects": "suspects, including the joint",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Create the problem, run both alternately, and write the section."""
    options = _parser().parse_args(arguments)
    pythons = {"ours": sys.executable} | ({"cleanlab": options.cleanlab} if options.cleanlab else {})
    runs: dict[str, list[dict[str, Any]]] = {who: [] for who in pythons}
    order = random.Random(0)
    with tempfile.TemporaryDirectory(prefix="confident-") as folder:
        write_problem(Path(folder), options.rows, options.classes)
        for _ in range(options.rounds):
            for who in order.sample(list(pythons), len(pythons)):
                runs[who].append(_run(pythons[who], who, folder, options.classes, options.threads))
    described = machine.describe(torch.device("cpu"))
    text = page(runs, options.rows, options.classes, described, threads=options.threads)
    pages.put(options.out, "confident", text, measured(runs, options.rows, options.classes), described)
    return 0


def write_problem(folder: Path, rows: int, classes: int) -> None:
    """Write float32 probabilities and labels, a fifth of them redrawn uniformly, in chunks."""
    generator = torch.Generator().manual_seed(0)
    with (folder / "probs").open("wb") as probs, (folder / "labels").open("wb") as labels:
        for start in range(0, rows, 2**16):
            clean = torch.randint(classes, (min(2**16, rows - start),), generator=generator)
            logits = 1.5 * torch.randn(len(clean), classes, generator=generator)
            logits[torch.arange(len(clean)), clean] += 4
            redrawn = torch.rand(len(clean), generator=generator) < 0.2
            given = torch.where(redrawn, torch.randint(classes, (len(clean),), generator=generator), clean)
            probs.write(logits.softmax(1).numpy().tobytes())
            labels.write(given.numpy().tobytes())


def measured(runs: dict[str, list[dict[str, Any]]], rows: int, classes: int) -> list[Measured]:
    """Return the median ratio of the times, and the largest peak memory of the ranking."""
    shape, rounds = f"{rows:,} × {classes}", len(runs["ours"])
    ratio = statistics.median(_ratios(["joint", "ranking"], runs)) if "cleanlab" in runs else None
    most = max(run["held"]["ranking"] for run in runs["ours"]) / (rows * classes * 4)
    return [Measured("confident", shape, ratio, rounds), Measured("confident-memory", shape, most, rounds)]


def page(
    runs: dict[str, list[dict[str, Any]]],
    rows: int,
    classes: int,
    described: Mapping[str, str],
    *,
    threads: int = 2,
) -> str:
    """Return times, their ratio within rounds, peak memory and whether the results agree, as Markdown."""
    size = rows * classes * 4
    lines = [
        f"# Confident joint and ranking, {rows:,} × {classes} float32",
        "",
        *(f"- {key}: {value}" for key, value in described.items()),
        f"- rounds: n = {len(runs['ours'])}, one process each, in random order; threads: {threads}",
        "",
        "Seconds are medians (minimum–maximum). Memory is the peak of the process beyond its memory before it read the "
        "probabilities, divided by the size of the probabilities: 1 is the probabilities alone.",
        "",
        "| task | ours, s | cleanlab, s | cleanlab / ours | memory, ours | memory, cleanlab | same result |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    lines += [_row(label, [task], runs, size) for task, label in TASKS.items()]
    lines += [_row("**joint and ranking**", ["joint", "ranking"], runs, size)]
    if "cleanlab" not in runs:
        lines += ["", "cleanlab was not run: pass the Python of an environment that has it as --cleanlab."]
    return "\n".join([*lines, "", goals.line(measured(runs, rows, classes)), ""])


def _row(label: str, tasks: list[str], runs: dict[str, list[dict[str, Any]]], size: int) -> str:
    there = "cleanlab" in runs
    digests = {run["digests"][task] for who in runs for run in runs[who] for task in tasks}
    cells = [
        label,
        _seconds(tasks, runs["ours"]),
        _seconds(tasks, runs["cleanlab"]) if there else "–",
        f"{statistics.median(_ratios(tasks, runs)):.1f}" if there else "–",
        f"{max(run['held'][tasks[-1]] for run in runs['ours']) / size:.2f}",
        f"{max(run['held'][tasks[-1]] for run in runs['cleanlab']) / size:.2f}" if there else "–",
        "–" if not there or "ranking" in tasks else "yes, exactly" if len(digests) == 1 else "**no**",
    ]
    return f"| {' | '.join(cells)} |"


def _seconds(tasks: list[str], runs: list[dict[str, Any]]) -> str:
    found = [sum(run["seconds"][task] for task in tasks) for run in runs]
    return f"{statistics.median(found):.2f} ({min(found):.2f}–{max(found):.2f})"


def _ratios(tasks: list[str], runs: dict[str, list[dict[str, Any]]]) -> list[float]:
    ours, theirs = ([sum(run["seconds"][t] for t in tasks) for run in runs[who]] for who in ("ours", "cleanlab"))
    return [their / our for our, their in zip(ours, theirs, strict=True)]


def _run(python: str, who: str, folder: str, classes: int, threads: int) -> dict[str, Any]:
    limits = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    done = subprocess.run(
        [python, str(WORKER), who, folder, str(classes)], capture_output=True, text=True, env=os.environ | limits
    )
    if done.returncode:
        sys.exit(f"{who}, run with {python}: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.confident", description=__doc__)
    parser.add_argument(
        "--cleanlab", metavar="PYTHON", help="Python of an environment with cleanlab (default: do not run cleanlab)"
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="number of examples (default: 1,000,000)")
    parser.add_argument("--classes", type=int, default=100, help="number of classes (default: 100)")
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds (default: 3)")
    parser.add_argument("--threads", type=int, default=2, help="threads per process (default: 2)")
    parser.add_argument("--out", type=Path, default=Path("benchmarks"), help="output folder (default: benchmarks)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
