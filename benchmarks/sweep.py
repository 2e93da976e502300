"""``python -m benchmarks.sweep --lightning PYTHON``: whole sweeps of training runs, compared with plain loops.

They are also compared with lightning.Trainer: PYTHON is the interpreter of an environment with lightning, safetensors
and the same version of torch. Writes its section of RESULTS.md. `--quick` is a smoke test of a few steps that writes
nothing.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from benchmarks import goals, machine, pages, sweep_step
from benchmarks.goals import Measured
from benchmarks.sweep_lab import specification
from softtargets.data.sources import load

LIGHTNING = "lightning.Trainer"
# contender -> what runs it
CONTENDERS = {
    "softtargets": ["benchmarks.sweep_lab"],
    "loop over tensors": ["benchmarks.sweep_plain", "tensors"],
    "DataLoader loop": ["benchmarks.sweep_plain", "loader"],
    LIGHTNING: ["benchmarks.sweep_plain", "lightning"],
}
# model -> contender -> key of the goal
GOALS = {
    "mlp": {"loop over tensors": "sweep-mlp-tensor", "DataLoader loop": "sweep-mlp"},
    "resnet": {"DataLoader loop": "sweep-resnet"},
}
FASHION = Path("../shared/data/fashion-mnist")
EXTRA = (
    "Every contender trains the same networks with SGD, label smoothing .1 and the same batch size, and evaluates the "
    "validation split after each epoch and the test split at the end. All start from decoded images. CPU seconds "
    "include the start of Python, all imports and the worker processes. softtargets also records a history, the "
    "outputs of all splits and the weights, of the last and of the best epoch, each flushed to the disk and with a "
    "checksum, and its runs can be interrupted and resumed."
)


@dataclass(frozen=True)
class Plan:
    """A sweep: runs that differ in their seeds."""

    title: str
    model: str
    data: dict[str, Any]
    runs: int
    epochs: int
    rounds: int
    precision: str = "float32"
    batch_size: int = 128
    learning_rate: float = 0.1
    smoothing: float = 0.1
    workers: int = 2


@dataclass(frozen=True)
class Cost:
    """The cost of one whole sweep, in seconds, and the mean test accuracy of its runs."""

    cpu: float
    wall: float
    accuracy: float


def plans(fashion: Path, *, rounds: int, quick: bool) -> Iterator[Plan]:
    """Yield the sweeps to measure; those on Fashion-MNIST only if its folder exists."""
    few = {"train": 300, "validation": 100, "test": 100}
    digits = {"name": "digits", "limit": few if quick else None}
    mlp = Plan("20 runs of an MLP 64-256-256-10 on digits", "mlp", digits, 20, 50, rounds)
    yield replace(mlp, title="2 runs of an MLP", runs=2, epochs=2) if quick else mlp
    if not fashion.exists():
        return
    limit = few if quick else {"train": 2560, "validation": 512, "test": 1024}
    images = {"name": str(fashion.resolve()), "limit": limit}
    for precision in ("float32", "bfloat16"):
        title = f"{2 if quick else 4} runs of ResNet-8 on {limit['train']:,} images of Fashion-MNIST, {precision}"
        yield Plan(title, "resnet", images, 2 if quick else 4, 1 if quick else 2, 1, precision)


def measure(plan: Plan, pythons: Mapping[str, str], folder: Path) -> dict[str, list[Cost]]:
    """Run every contender once per round, in a new random order in each round.

    Args:
        plan: the sweep.
        pythons: the interpreter of each contender.
        folder: folder for the plan, the data and the run store.
    """
    order, costs = random.Random(0), {name: [] for name in pythons}
    prepare(plan, folder)
    for _ in range(plan.rounds):
        for name in order.sample(list(pythons), len(pythons)):
            costs[name].append(cost([pythons[name], "-m", *CONTENDERS[name], str(folder)]))
            for store in (folder / "runs").iterdir():
                if store.name != "cache":
                    shutil.rmtree(store)
    return costs


def prepare(plan: Plan, folder: Path) -> None:
    """Write the plan and the decoded data: a file for the plain loops, and the cache of a run store."""
    (folder / "plan.json").write_text(json.dumps(asdict(plan)), encoding="utf-8")
    dataset = load(specification(asdict(plan), 0).data, cache=folder / "runs" / "cache")
    tensors = {}
    for split, rows in dataset.splits.items():
        tensors[f"{split}.inputs"], tensors[f"{split}.labels"] = dataset.inputs[rows], dataset.labels[rows]
    save_file(tensors, folder / "data.safetensors")


def cost(command: Sequence[str]) -> Cost:
    """Run a sweep in a process of its own, with one thread per worker, and return what it cost."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    root = Path(__file__).parents[1]
    start = time.perf_counter()
    with subprocess.Popen(command, cwd=root, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        # with the processor time of its own workers, which it has waited for
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - start
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit status 0; got {process.returncode}")
    return Cost(usage.ru_utime + usage.ru_stime, wall, float(output.split()[-1]))


def table(plan: Plan, costs: dict[str, list[Cost]]) -> tuple[list[str], list[Measured]]:
    """Return the medians of a sweep as Markdown, and what is held against goals."""
    lines = [
        f"## {plan.title}",
        "",
        f"{plan.epochs} epochs of batches of {plan.batch_size}, {plan.workers} workers, n = {plan.rounds} whole sweeps "
        "of each contender, interleaved: medians. Ratios are medians over rounds.",
        "",
        "| contender | CPU seconds | ÷ ours | wall seconds | ÷ ours | test accuracy |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    ours = costs["softtargets"]
    ratios: dict[str, tuple[float, float]] = {}
    for name in CONTENDERS:
        if name not in costs:
            lines.append(f"| {name} | not run | – | – | – | – |")
            continue
        pairs = list(zip(costs[name], ours, strict=True))
        cpu, wall, accuracy = (statistics.median(getattr(c, key) for c in costs[name]) for key in asdict(ours[0]))
        ratios[name] = (
            statistics.median(one.cpu / base.cpu for one, base in pairs),
            statistics.median(one.wall / base.wall for one, base in pairs),
        )
        lines.append(
            f"| {name} | {cpu:.1f} | {ratios[name][0]:.2f} | {wall:.1f} | {ratios[name][1]:.2f} | {accuracy:.3f} |"
        )
    measured = [
        Measured(goal, f"{plan.title}, {kind} time", ratio, plan.rounds)
        for name, goal in GOALS[plan.model].items()
        for kind, ratio in zip(("CPU", "wall"), ratios[name], strict=True)
    ]
    return [*lines, "", goals.line(measured), ""], measured


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sweeps and write their section."""
    options = _parser().parse_args(arguments)
    # an absolute path that keeps the link of a virtual environment: the sweep has another working directory
    pythons = {name: sys.executable for name in CONTENDERS if name != LIGHTNING}
    described = machine.describe(torch.device("cpu"))
    if options.lightning is not None:
        pythons[LIGHTNING] = str(options.lightning.absolute())
        described["lightning"] = _version(pythons[LIGHTNING])
    lines = ["# Sweeps of training runs", "", *(f"- {name}: {value}" for name, value in described.items()), ""]
    step, measured = sweep_step.table(rounds=2 if options.quick else 9)
    lines += [EXTRA, "", *step]
    print("\n".join(lines), flush=True)
    with tempfile.TemporaryDirectory(prefix="sweep-") as folder:
        for plan in plans(options.data, rounds=1 if options.quick else options.rounds, quick=options.quick):
            found, held = table(plan, measure(plan, pythons, Path(folder)))
            print("\n".join(found), flush=True)
            lines += found
            measured += held
    if not options.data.exists():
        skipped = f"Sweeps of ResNet-8 skipped: no folder '{options.data}'; pass the folder of Fashion-MNIST as --data."
        print(skipped)
        lines.append(skipped)
    if not options.quick:
        pages.put(options.out, "sweep", "\n".join(lines), measured, described)
    return 0


def _version(python: str) -> str:
    """Return the version of lightning, and that of torch beside it."""
    code = "from importlib.metadata import version as v; print(v('lightning'), 'with torch', v('torch'))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweep", description=__doc__)
    parser.add_argument("--data", type=Path, default=FASHION, help=f"folder of Fashion-MNIST (default: {FASHION})")
    parser.add_argument("--lightning", type=Path, metavar="PYTHON", help="interpreter that has lightning")
    parser.add_argument("--rounds", type=int, default=3, help="number of sweeps per contender (default: 3)")
    parser.add_argument("--quick", action="store_true", help="smoke test: a few steps, 1 round, only printed")
    parser.add_argument("--out", type=Path, default=Path("benchmarks"), help="output folder (default: benchmarks)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
