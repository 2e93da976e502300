"""``python -m benchmarks.gpu_study``: Figure 2 and Tables 3 to 5 of Lukasik et al. 2020 on one GPU, in limited time.

The outputs are computed with 2, then 4, then 8 seeds, so that there are complete results if the time is not enough. All
runs of a stage are shared by the later ones. ``OUTPUT.json`` in the output folder has the last complete results.
"""

import _thread
import argparse
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from softtargets.studies import run_study

OUTPUTS = ("figure2-cifar10", "table3-cifar10", "table4-cifar10", "table5-cifar10")
SEEDS = (2, 4, 8)
DATA = "uoft-cs/cifar10"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the outputs and return the number of seeds of the last complete stage."""
    options = _parser().parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    started, complete = time.monotonic(), 0
    # as Ctrl-C does: the workers end, and finished runs are kept; a command in the background starts with it ignored
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    limit = threading.Timer(60 * options.minutes, _thread.interrupt_main)
    limit.start()
    try:
        for seeds in SEEDS:
            for output in OUTPUTS:
                _compute(output, seeds, options, started)
            complete = seeds
    except KeyboardInterrupt:
        print(f"stopped after {time.monotonic() - started:.0f} s", flush=True)
    finally:
        limit.cancel()
        signal.signal(signal.SIGINT, before)
    print(f"complete: {complete} seeds, {time.monotonic() - started:.0f} s in all")
    return complete


def _compute(output: str, seeds: int, options: argparse.Namespace, started: float) -> None:
    places = {} if options.data is None else {DATA: str(options.data)}
    settings = {"scale": options.scale, "seeds": seeds, "places": places, "runs": options.runs}
    with tempfile.TemporaryDirectory() as reports:
        outcome = run_study("lukasik2020", output, workers=options.workers, reports=Path(reports), **settings)
        shutil.copy(outcome.page.with_name("results.json"), options.out / f"{output}.json")
    used = torch.cuda.mem_get_info() if torch.cuda.is_available() else None
    memory = "" if used is None else f", {(used[1] - used[0]) / 2**30:.1f} GiB of the GPU in use"
    counts = f"{outcome.trained} trained, {outcome.present} present, {outcome.failed} failed"
    print(f"{time.monotonic() - started:6.0f} s  {seeds} seeds  {output}: {counts}{memory}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_study", description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of CIFAR-10 (default: from the Hugging Face Hub)")
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the run store (default: runs)")
    parser.add_argument("--workers", type=int, help="worker processes (default: one per core)")
    parser.add_argument("--minutes", type=float, default=8.0, help="time after which it stops (default: 8)")
    parser.add_argument("--scale", default="desk", help="scale of the study (default: desk)")
    return parser


if __name__ == "__main__":
    main()
