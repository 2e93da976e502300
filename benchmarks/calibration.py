"""``python -m benchmarks.calibration``: calibration errors and temperature scaling compared with other libraries.

Writes its sections of RESULTS.md. `--quick` is a smoke test on small shapes that writes nothing. `--slow` measures only
L-BFGS with a learning rate of .01, which takes minutes per call; `make bench` keeps that section as it is.
"""

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks import goals, machine, pages
from benchmarks.goals import Measured
from benchmarks.meter import Call
from benchmarks.race import Place, race
from softtargets import calibration, metrics

BINS = 15
CHUNK = 1_000_000
CONFIDENT = 0.6  # labels are drawn from the logits times this factor, which makes the model overconfident
PARTS = ("ece", "temperature", "smooth-ece")
SLOW = "temperature-slow"
SLOW_ROUNDS = 3
PEERS = ("torchmetrics", "netcal", "relplot", "numpy")
LINE_SEARCH = "L-BFGS, 50 steps, strong Wolfe"
PLAIN = "L-BFGS, 50 steps, learning rate .01"


@dataclass(frozen=True)
class Section:
    """A section of RESULTS.md: its title, its lines, and the values that are held against goals."""

    title: str
    lines: list[str]
    measured: list[Measured]

    def text(self, described: dict[str, str]) -> str:
        """Return the section as Markdown, with the machine on which it was measured."""
        origin = [f"- {name}: {value}" for name, value in described.items()]
        about = "- interleaved rounds: median (quartiles)"
        return "\n".join([f"# {self.title}", "", *origin, about, "", *self.lines, "", goals.line(self.measured)])


def simulate(examples: int, num_classes: int, *, spread: float = 2.0) -> tuple[Tensor, Tensor]:
    """Return (N, K) float32 logits of an overconfident model, and labels."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.empty(examples, num_classes)
    labels = torch.empty(examples, dtype=torch.int64)
    for start in range(0, examples, CHUNK):
        rows = slice(start, start + CHUNK)
        logits[rows].normal_(std=spread, generator=generator)
        labels[rows] = torch.multinomial((logits[rows] * CONFIDENT).softmax(1), 1, generator=generator)[:, 0]
    return logits, labels


def ece(examples: int, rounds: int) -> Section:
    """Measure ECE of probabilities in chunks of a million rows; with netcal where it is installed (`make bench`)."""
    from torchmetrics.classification import MulticlassCalibrationError

    logits, labels = simulate(examples, 10)
    probs = logits.softmax(1)
    del logits
    pairs = list(zip(probs.split(CHUNK), labels.split(CHUNK), strict=True))
    values, kept = {}, {}

    def ours() -> None:
        metric = metrics.ECE(n_bins=BINS)
        for chunk in pairs:
            metric.update(*chunk)
        values["softtargets"] = float(metric.compute())
        kept["softtargets"] = sum(array.nbytes for array in metric.state_dict().values())

    def theirs(name: str, validate: bool) -> None:
        metric = MulticlassCalibrationError(10, n_bins=BINS, norm="l1", validate_args=validate)
        for chunk in pairs:
            metric.update(*chunk)
        values[name] = float(metric.compute())
        states = (metric.confidences, metric.accuracies)
        kept[name] = sum(array.nbytes for state in states for array in state)  # pyright: ignore[reportGeneralTypeIssues]

    def netcals() -> None:
        import netcal.metrics  # pyright: ignore[reportMissingImports]

        found = netcal.metrics.ECE(BINS).measure(probs.numpy(), labels.numpy())
        values["netcal"] = float(found)  # pyright: ignore[reportArgumentType]

    contenders: dict[str, Call] = {
        "softtargets": ours,
        "torchmetrics": lambda: theirs("torchmetrics", True),
        "torchmetrics, without validation": lambda: theirs("torchmetrics, without validation", False),
        **({"netcal": netcals} if find_spec("netcal") else {}),
        "row maxima only": lambda: [chunk.max(1) for chunk, _ in pairs],
    }
    places = race(contenders, rounds=rounds, fewer={"netcal": min(3, rounds)}, seconds=110)
    true = _ece_by_hand(probs, labels)
    lines = [
        f"{examples:,} × 10 float32 probabilities, {BINS} equal-width bins, {len(pairs)} chunks (netcal: one chunk).",
        "",
        "| contender | seconds | n | time ÷ ours | ECE | error | state between chunks |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, place in places.items():
        value = values.get(name)
        shown = ["–", "–"] if value is None else [f"{value:.6f}", f"{abs(value - true):.1e}"]
        lines.append(_row(name, place, *shown, _bytes(kept.get(name))))
    floor = places["row maxima only"].seconds / places["torchmetrics"].seconds
    lines += [
        "",
        f"The row maxima take {floor:.0%} of torchmetrics' time. The error is relative to a loop over bins in float64.",
    ]
    measured = [
        _against("ece-torchmetrics", f"{examples:,} × 10, {name}", places[name]) for name in places if "torchm" in name
    ]
    if "netcal" in places:
        measured.append(_against("ece-netcal", f"{examples:,} × 10", places["netcal"]))
    return Section("Calibration error", lines, measured)


def _ece_by_hand(probs: Tensor, labels: Tensor) -> float:
    confidence, predicted = probs.max(1)
    confidence, right = confidence.double(), (predicted == labels).double()
    gaps = []
    for b in range(BINS):
        inside = (confidence > b / BINS) & (confidence <= (b + 1) / BINS)
        gaps.append((right[inside] - confidence[inside]).sum().abs())
    return float(torch.stack(gaps).sum()) / len(labels)


def temperature(examples: int, num_classes: int, rounds: int, *, slow: bool = False) -> Section:
    """Measure temperature scaling against L-BFGS with a line search, or the slow one with a fixed learning rate."""
    logits, labels = simulate(examples, num_classes)
    found: dict[str, float] = {}
    name = PLAIN if slow else LINE_SEARCH

    def ours() -> None:
        found["softtargets"] = float(calibration.TemperatureScaling().fit(logits, labels).temperature)

    def theirs() -> None:
        search, rate = (None, 0.01) if slow else ("strong_wolfe", 1.0)
        found[name] = by_lbfgs(logits, labels, search=search, rate=rate)

    few = min(SLOW_ROUNDS if slow else 5, rounds)
    places = race(
        {"softtargets": ours, name: theirs},
        rounds=few if slow else rounds,
        fewer={name: few},
        seconds=math.inf if slow else 130,
    )
    best = _optimum(logits, labels, found["softtargets"])
    lines = [
        f"{examples:,} × {num_classes} float32 logits. The error is relative to the optimum in float64.",
        *(
            ["L-BFGS is called as in the original public implementation (Guo et al. 2017), which has no line search."]
            * slow
        ),
        "",
        "| contender | seconds | n | time ÷ ours | T | error |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    lines += [
        _row(name, place, f"{found[name]:.7f}", f"{abs(found[name] - best):.1e}") for name, place in places.items()
    ]
    error = abs(found["softtargets"] - best)
    lines += ["", f"Error of our optimum at most 1e-6: {'met' if error <= 1e-6 else '**missed**'}."]
    key, title = (SLOW, "Temperature: L-BFGS without line search") if slow else ("temperature", "Temperature")
    return Section(title, lines, [_against(key, f"{examples:,} × {num_classes}", places[name])])


def by_lbfgs(logits: Tensor, labels: Tensor, *, search: str | None, rate: float) -> float:
    """Fit T as common implementations do: cross entropy of logits / T, torch's L-BFGS, at most 50 steps."""
    value = torch.nn.Parameter(torch.full((1,), 1.5))
    optimizer = torch.optim.LBFGS([value], lr=rate, max_iter=50, line_search_fn=search)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(logits / value, labels)
        loss.backward()
        return loss.detach()

    optimizer.step(closure)
    return float(value.detach())


def _optimum(logits: Tensor, labels: Tensor, near: float) -> float:
    """Find the root of the derivative in float64 by the secant method, from 1 % around `near`."""

    def slope(beta: float) -> float:
        total = 0.0
        for part, of_part in zip(logits.split(100_000), labels.split(100_000), strict=True):
            values = part.double()
            given = values.gather(1, of_part[:, None]).sum()
            total += float(((values * beta).softmax(1) * values).sum() - given)
        return total

    (before, at_before), last = ((beta := 0.99 / near), slope(beta)), 1.01 / near
    for _ in range(10):
        at_last = slope(last)
        if abs(last - before) <= 1e-12 * last or at_last == at_before:
            break
        before, at_before, last = last, at_last, last - at_last * (last - before) / (at_last - at_before)
    return 1 / last


def smooth_ece(examples: int, rounds: int) -> Section:
    """Measure smooth ECE from probabilities of 10 classes, and from confidences."""
    tables, measured = [], []
    for num_classes, about in (
        (10, "{:,} × 10 float32 probabilities. The time includes the row maxima for both."),
        (2, "{:,} confidences alone: relplot gets confidences, ours two probabilities per example."),
    ):
        places, values = _smooth_ece(examples, num_classes, rounds)
        apart = abs(values["softtargets"] - values["relplot"])
        tables += [
            about.format(examples),
            "",
            "| contender | seconds | n | time ÷ ours | smooth ECE |",
            "|---|---:|---:|---:|---:|",
            *(_row(name, place, f"{values[name]:.6f}") for name, place in places.items()),
            "",
            f"The values differ by less than 1e-3 ({apart:.1e}): {'met' if apart < 1e-3 else '**missed**'}.",
            "",
        ]
        case = f"{examples:,} × 10 with row maxima" if num_classes == 10 else f"{examples:,} confidences"
        measured.append(_against("smooth-ece", case, places["relplot"]))
    return Section("Smooth calibration error", tables, measured)


def _smooth_ece(examples: int, num_classes: int, rounds: int) -> tuple[dict[str, Place], dict[str, float]]:
    import relplot

    logits, labels = simulate(examples, num_classes)
    probs = logits.softmax(1)
    values: dict[str, float] = {}
    prepared = _confidences(probs, labels)

    def ours() -> None:
        values["softtargets"] = float(metrics.smooth_ece(probs, labels))

    def theirs() -> None:
        confidence, correct = _confidences(probs, labels) if num_classes > 2 else prepared
        values["relplot"] = float(relplot.smECE(confidence, correct))  # pyright: ignore[reportArgumentType]

    return race({"softtargets": ours, "relplot": theirs}, rounds=rounds, seconds=20), values


def _confidences(probs: Tensor, labels: Tensor) -> tuple[np.ndarray, np.ndarray]:
    confidence, predicted = probs.max(1)
    return confidence.numpy(), (predicted == labels).double().numpy()


def _row(name: str, place: Place, *rest: str) -> str:
    spread = f"{place.seconds:.3f} ({place.seconds_q1:.3f}–{place.seconds_q3:.3f})"
    return f"| {' | '.join([name, spread, str(place.rounds), f'{place.times_first:.2f}', *rest])} |"


def _against(goal: str, case: str, place: Place) -> Measured:
    return Measured(goal, case, place.times_first, place.rounds)


def _bytes(number: int | None) -> str:
    return "–" if number is None else f"{number:,} B" if number < 10_000 else f"{number / 2**20:,.0f} MiB"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the selected benchmarks and write their sections."""
    options = _parser().parse_args(arguments)
    small = options.quick
    rounds = 2 if small else options.rounds
    size = 2_000 if small else 1_000_000
    parts: dict[str, Callable[[], Section]] = {
        "ece": lambda: ece(20_000 if small else 10_000_000, rounds),
        "temperature": lambda: temperature(size, 100, rounds),
        "smooth-ece": lambda: smooth_ece(20_000 if small else 1_000_000, rounds),
        SLOW: lambda: temperature(size, 100, rounds, slow=True),
    }
    for part in [SLOW] if options.slow else options.parts:
        described = machine.describe(torch.device("cpu"), PEERS)
        section = parts[part]()
        text = section.text(described)
        print(text, end="\n\n", flush=True)
        if not small:
            pages.put(options.out, part, text, section.measured, described)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calibration", description=__doc__)
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS), help="sections to run (default: all)")
    parser.add_argument("--rounds", type=int, default=9, help="most timed rounds of a contender (default: 9)")
    parser.add_argument("--slow", action="store_true", help=f"only {PLAIN} against ours: about 10 minutes")
    parser.add_argument("--quick", action="store_true", help="smoke test: small shapes, 2 rounds, only printed")
    parser.add_argument("--out", type=Path, default=Path("benchmarks"), help="output folder (default: benchmarks)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
