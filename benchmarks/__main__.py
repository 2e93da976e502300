"""``python -m benchmarks``: measure the losses and write the tables."""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks import cuda, machine, table
from benchmarks.cases import CASES, Setting
from benchmarks.measure import Row, measure

WARMUP = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the selected benchmarks, print each row when it is ready, and write results.csv and RESULTS.md."""
    options = _parser().parse_args(arguments)
    setting = Setting(torch.device(options.device), options.quick, options.long)
    rounds = 2 if options.quick else options.rounds
    folder = options.out or (Path(tempfile.mkdtemp(prefix="benchmarks-")) if options.quick else Path("benchmarks"))
    if setting.device.type == "cuda":
        cuda.run(
            setting.device, folder, cases=options.cases, rounds=rounds, minutes=options.minutes, quick=setting.quick
        )
        return 0
    start, origin = time.monotonic(), machine.describe(setting.device)
    rows: list[Row] = []
    for case in options.cases:
        for problem in CASES[case].problems(setting):
            found = measure(problem, rounds=rounds, warmup=WARMUP)
            rows += found
            for row in found:
                print(_line(row), flush=True)
    table.write(rows, origin, folder, rounds=rounds, warmup=WARMUP)
    print(f"Wrote {folder / 'RESULTS.md'} and results.csv in {(time.monotonic() - start) / 60:.1f} min")
    return 0


def _line(row: Row) -> str:
    ratio, memory = (f"{value:7.3f}" if value is not None else "      –" for value in (row.ratio, row.memory))
    what = f"{row.case} {row.shape} {row.dtype}"
    return f"{what:42} {row.contender:50} time {ratio}  memory {memory}  {row.note}".rstrip()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smoke test: tiny shapes and 2 rounds")
    parser.add_argument(
        "--long", action="store_true", help="also time cases that take most of a minute per round on a CPU"
    )
    parser.add_argument(
        "--cases", nargs="+", choices=list(CASES), default=list(CASES), help="cases to run (default: all)"
    )
    parser.add_argument("--rounds", type=int, default=9, help="number of timed rounds (default: 9)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    parser.add_argument(
        "--minutes",
        type=float,
        default=cuda.MINUTES,
        help="on CUDA, the time after which nothing is begun (default: 6)",
    )
    parser.add_argument("--out", type=Path, help="output folder (default: benchmarks; with --quick a temporary folder)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
