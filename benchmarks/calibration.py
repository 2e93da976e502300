"""``python -m benchmarks.calibration``: calibration errors and temperature scaling compared with other libraries.

Writes its sections of RESULTS.md. `--quick` is a smoke test on small shapes that writes nothing.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from benchmarks import machine, pages
from benchmarks.meter import Call
from benchmarks.race import Place, race
from softtargets import calibration, metrics

BINS = 15
CHUNK = 1_000_000
CONFIDENT = 0.6  # labels are drawn from the logits times this factor, which makes the model overconfident
PARTS = ("ece", "temperature", "smooth-ece")
PEERS = ("torchmetrics", "netcal", "relplot", "numpy")


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


def ece(examples: int, rounds: int) -> str:
    """Measure ECE of probabilities in chunks of a million rows."""
    import netcal.metrics
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
        found = netcal.metrics.ECE(BINS).measure(probs.numpy(), labels.numpy())
        values["netcal"] = float(found)  # pyright: ignore[reportArgumentType]

    contenders: dict[str, Call] = {
        "softtargets": ours,
        "torchmetrics": lambda: theirs("torchmetrics", True),
        "torchmetrics, without validation": lambda: theirs("torchmetrics, without validation", False),
        "netcal": netcals,
        "row maxima only": lambda: [chunk.max(1) for chunk, _ in pairs],
    }
    places = race(contenders, rounds=rounds)
    true = _ece_by_hand(probs, labels)
    lines = [
        f"{examples:,} × 10 float32 probabilities, {BINS} equal-width bins, {len(pairs)} chunks (netcal: one chunk).",
        "",
        "| contender | seconds | time ÷ ours | ECE | error | state between chunks |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, place in places.items():
        value = values.get(name)
        shown = ["–", "–"] if value is None else [f"{value:.6f}", f"{abs(value - true):.1e}"]
        lines.append(_row(name, place, *shown, _bytes(kept.get(name))))
    fast = places["torchmetrics, without validation"].times_first
    floor = places["row maxima only"].seconds / places["torchmetrics"].seconds
    lines += [
        "",
        f"The row maxima take {floor:.0%} of torchmetrics' time. The error is relative to a loop over bins in float64.",
        _goals(
            (places["torchmetrics"].times_first >= 3, "torchmetrics takes at least 3 times as long as ours"),
            (fast >= 3, "also without validation"),
            (places["netcal"].times_first >= 10, "netcal takes at least 10 times as long as ours"),
        ),
    ]
    return _page("Calibration error", lines, rounds)


def _ece_by_hand(probs: Tensor, labels: Tensor) -> float:
    confidence, predicted = probs.max(1)
    confidence, right = confidence.double(), (predicted == labels).double()
    gaps = []
    for b in range(BINS):
        inside = (confidence > b / BINS) & (confidence <= (b + 1) / BINS)
        gaps.append((right[inside] - confidence[inside]).sum().abs())
    return float(torch.stack(gaps).sum()) / len(labels)


def temperature(examples: int, num_classes: int, rounds: int) -> str:
    """Measure temperature scaling."""
    logits, labels = simulate(examples, num_classes)
    found: dict[str, float] = {}

    def ours() -> None:
        found["softtargets"] = float(calibration.TemperatureScaling().fit(logits, labels).temperature)

    def theirs(name: str, search: str | None, rate: float) -> None:
        found[name] = by_lbfgs(logits, labels, search=search, rate=rate)

    line, plain = "L-BFGS, 50 steps, strong Wolfe", "L-BFGS, 50 steps, learning rate .01"
    contenders: dict[str, Call] = {
        "softtargets": ours,
        line: lambda: theirs(line, "strong_wolfe", 1.0),
        plain: lambda: theirs(plain, None, 0.01),
    }
    places = race(contenders, rounds=rounds)
    best = _optimum(logits, labels, found["softtargets"])
    lines = [
        f"{examples:,} × {num_classes} float32 logits. The error is relative to the optimum in float64.",
        "",
        "| contender | seconds | time ÷ ours | T | error |",
        "|---|---:|---:|---:|---:|",
    ]
    lines += [
        _row(name, place, f"{found[name]:.7f}", f"{abs(found[name] - best):.1e}") for name, place in places.items()
    ]
    lines += [
        "",
        _goals(
            (places[line].times_first >= 3, "L-BFGS with line search takes at least 3 times as long as ours"),
            (
                places[plain].times_first >= 3,
                "L-BFGS as in the original public implementation takes at least 3 times as long as ours",
            ),
            (abs(found["softtargets"] - best) <= 1e-6, "error of our optimum at most 1e-6"),
        ),
    ]
    return _page("Temperature", lines, rounds)


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
    """Find the root of the derivative in float64 by bisection, within 1 % of `near`."""

    def slope(beta: float) -> float:
        total = 0.0
        for part, of_part in zip(logits.split(100_000), labels.split(100_000), strict=True):
            values = part.double()
            given = values.gather(1, of_part[:, None]).sum()
            total += float(((values * beta).softmax(1) * values).sum() - given)
        return total

    low, high = 0.99 / near, 1.01 / near
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return 2 / (low + high)


def smooth_ece(examples: int, rounds: int) -> str:
    """Measure smooth ECE."""
    import relplot

    logits, labels = simulate(examples, 10)
    probs = logits.softmax(1)
    values: dict[str, float] = {}

    def ours() -> None:
        values["softtargets"] = float(metrics.smooth_ece(probs, labels))

    def theirs() -> None:
        confidence, predicted = probs.max(1)
        found = relplot.smECE(confidence.numpy(), (predicted == labels).double().numpy())
        values["relplot"] = float(found)  # pyright: ignore[reportArgumentType]

    places = race({"softtargets": ours, "relplot": theirs}, rounds=rounds)
    apart = abs(values["softtargets"] - values["relplot"])
    lines = [
        f"{examples:,} × 10 float32 probabilities. The time includes the row maxima for both.",
        "",
        "| contender | seconds | time ÷ ours | smooth ECE |",
        "|---|---:|---:|---:|",
        *(_row(name, place, f"{values[name]:.6f}") for name, place in places.items()),
        "",
        _goals(
            (places["relplot"].times_first >= 5, "relplot takes at least 5 times as long as ours"),
            (apart < 1e-3, f"the values differ by less than 1e-3 ({apart:.1e})"),
        ),
    ]
    return _page("Smooth calibration error", lines, rounds)


def _row(name: str, place: Place, *rest: str) -> str:
    spread = f"{place.seconds:.3f} ({place.seconds_q1:.3f}–{place.seconds_q3:.3f})"
    return f"| {' | '.join([name, spread, f'{place.times_first:.2f}', *rest])} |"


def _bytes(number: int | None) -> str:
    return "–" if number is None else f"{number:,} B" if number < 10_000 else f"{number / 2**20:,.0f} MiB"


def _goals(*goals: tuple[bool, str]) -> str:
    return "Goals: " + "; ".join(f"{what}: {'met' if met else '**missed**'}" for met, what in goals) + "."


def _page(title: str, lines: list[str], rounds: int) -> str:
    described = machine.describe(torch.device("cpu"), PEERS)
    origin = [f"- {name}: {value}" for name, value in described.items()]
    return "\n".join([f"# {title}", "", *origin, f"- n = {rounds} interleaved rounds: median (quartiles)", "", *lines])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the selected benchmarks and write their sections."""
    options = _parser().parse_args(arguments)
    small = options.quick
    rounds = 2 if small else options.rounds
    parts: dict[str, Callable[[], str]] = {
        "ece": lambda: ece(20_000 if small else 10_000_000, rounds),
        "temperature": lambda: temperature(2_000 if small else 1_000_000, 100, rounds),
        "smooth-ece": lambda: smooth_ece(20_000 if small else 1_000_000, rounds),
    }
    for part in options.parts:
        text = parts[part]()
        print(text, end="\n\n", flush=True)
        if not small:
            pages.put(options.out, part, text)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calibration", description=__doc__)
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS), help="sections to run (default: all)")
    parser.add_argument("--rounds", type=int, default=5, help="number of timed rounds (default: 5)")
    parser.add_argument("--quick", action="store_true", help="smoke test: small shapes, 2 rounds, only printed")
    parser.add_argument("--out", type=Path, default=Path("benchmarks"), help="output folder (default: benchmarks)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
