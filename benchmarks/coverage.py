"""``python -m benchmarks.coverage``: how often 95 % intervals hold the truth, where it is known; as Markdown.

The models, the sizes, four candidates and what "well above its noise" means were fixed before a number was seen; the
fifth, `ours`, was made after the four had been seen on other seeds. How much is done was cut to what a run can take.

Each row is printed when it is known and the page is written again, so that a run that is stopped keeps what it has:
`--rows FILE`, with what was printed, goes on from there, and `--only-rows` writes the page alone.
"""

import argparse
import json
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from benchmarks import machine, pages
from softtargets import metrics
from softtargets.metrics import Accumulator, SelectiveRisk

K = 10
SPREAD = 2.0
SHARPNESS = (1.0, 1.1, 1.25, 1.5, 2.0)
# of metrics whose interval does not depend on how far the model is off
FEW = (1.0, 1.5)
CALIBRATION = ("ECE-15", "smooth ECE")
SIZES = (200, 1_000, 5_000)
EXAMPLES = 4_000_000
DRAWS = 1000
CONFIDENCE = 0.95
ABOVE = 3.0
GOAL = (0.93, 0.97)
RISKS = (0.05,)

Interval = tuple[float, float]


@dataclass(frozen=True)
class Size:
    """How much is done of a kind of metric.

    Args:
        simulations: data sets for each model and size.
        draws: replicates of the bootstrap.
        groups: of the accumulators.
    """

    simulations: int
    draws: int
    groups: int


# A ranking or a smooth error of a replicate takes a hundred times longer than a sum.
LIGHT, HEAVY = Size(1000, 1000, 1000), Size(300, 200, 200)
MAKE: dict[str, tuple[Callable[[int], Accumulator], Size, tuple[float, ...]]] = {
    "accuracy": (lambda groups: metrics.Accuracy(groups=groups), LIGHT, FEW),
    "NLL": (lambda groups: metrics.NLL(groups=groups), LIGHT, FEW),
    "Brier": (lambda groups: metrics.Brier(groups=groups), LIGHT, FEW),
    "ECE-15": (lambda groups: metrics.ECE(groups=groups), LIGHT, SHARPNESS),
    "smooth ECE": (lambda groups: metrics.SmoothECE(groups=groups), HEAVY, SHARPNESS),
    "selective": (lambda groups: SelectiveRisk(risks=RISKS, groups=groups), HEAVY, FEW),
}
NAMES = {"selective": ("AURC", "excess AURC", "error AUROC", "coverage at 5 % risk")}


@dataclass
class Found:
    """One metric on one model at one size.

    Args:
        sharpness: of the model.
        size: examples of a data set.
        metric: its name.
        truth: its value on very many examples.
        noise: of a calibration error, its mean where the model's confidences are right; else 0.
        simulations: data sets.
        hits: intervals that held the truth, for each kind of interval.
        width: the mean width of the first kind.
    """

    sharpness: float
    size: int
    metric: str
    truth: float
    noise: float
    simulations: int
    hits: dict[str, int] = field(default_factory=dict)
    width: float = 0.0

    @property
    def above(self) -> bool:
        """Whether the truth is well above the noise."""
        return self.truth > ABOVE * self.noise


def draw(size: int, sharpness: float, generator: torch.Generator, *, calibrated: bool = False) -> tuple[Tensor, Tensor]:
    """Draw logits of a model and labels: sharpness 1 knows p(label | x) exactly, above 1 it is overconfident.

    Args:
        size: examples.
        sharpness: what the true logits are multiplied with.
        generator: source of the draws.
        calibrated: draw the labels from the model instead, so that its confidences are right.
    """
    true = SPREAD * torch.randn(size, K, generator=generator)
    logits = sharpness * true
    labels = torch.multinomial((logits if calibrated else true).softmax(1), 1, generator=generator)[:, 0]
    return logits, labels


def truths(sharpness: float, examples: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Return every metric on very many examples; the calibration error of the exact model is 0."""
    gathered = {name: make(1) for name, (make, *_) in MAKE.items()}
    for start in range(0, examples, 1_000_000):
        logits, labels = draw(min(1_000_000, examples - start), sharpness, generator)
        metrics.Collection(gathered.values()).update(logits=logits, labels=labels)
    found = {name: one.compute() for name, one in gathered.items()}
    if sharpness == 1:
        found |= {name: torch.zeros_like(found[name]) for name in CALIBRATION}
    return found


def candidates(estimate: Tensor, replicates: Tensor, confidence: float) -> dict[str, Interval]:
    """Return the intervals that were compared for ECE, of one estimate and its (R,) replicates.

    percentile: quantiles of the replicates. basic: 2 * estimate - those (Davison & Hinkley 1997, Sec. 5.2).
    bias-corrected: quantiles at Phi(2 z0 +- z), z0 = Phi^-1(share of replicates below the estimate) (Efron 1981).
    normal: estimate - bias +- z * sd of the replicates (Davison & Hinkley 1997, Sec. 5.2.1).
    """
    tails = replicates.new_tensor([(1 - confidence) / 2, (1 + confidence) / 2])
    low, high = replicates.quantile(tails)
    z, least = torch.special.ndtri(tails), 0.5 / len(replicates)
    below = (replicates < estimate).double().mean().clamp(least, 1 - least)
    shifted = replicates.quantile(torch.special.ndtr(2 * torch.special.ndtri(below) + z))
    normal = 2 * estimate - replicates.mean() + z * replicates.std()
    ends = {"percentile": (low, high), "basic": (2 * estimate - high, 2 * estimate - low)}
    ends |= {"bias-corrected": (shifted[0], shifted[1]), "normal": (normal[0], normal[1])}
    return {name: (float(ends[0]), float(ends[1])) for name, ends in ends.items()}


def places() -> list[tuple[str, float, int]]:
    """Return every metric, model and size there is to measure, in order."""
    return [
        (name, sharpness, size)
        for sharpness in SHARPNESS
        for name, (_, _, models) in MAKE.items()
        for size in (SIZES if sharpness in models else ())
    ]


def every(
    examples: int = EXAMPLES,
    *,
    light: Size = LIGHT,
    heavy: Size = HEAVY,
    known: Collection[tuple[str, float, int]] = (),
) -> Iterator[Found]:
    """Yield what is found for every metric, model and size that is not known."""
    truth: dict[float, dict[str, Tensor]] = {}
    for name, sharpness, size in places():
        if (NAMES.get(name, (name,))[0], sharpness, size) in known:
            continue
        if sharpness not in truth:
            truth = {sharpness: truths(sharpness, examples, torch.Generator().manual_seed(1))}
        work = light if MAKE[name][1] is LIGHT else heavy
        compare, seed = name == "ECE-15", 2 + size
        yield from measured(name, sharpness, size, truth[sharpness][name], work, compare=compare, seed=seed)


def measured(
    name: str, sharpness: float, size: int, truth: Tensor, work: Size, *, compare: bool = False, seed: int = 0
) -> list[Found]:
    """Return how often the intervals of a metric held its truth; `compare`: of all candidates too.

    Args:
        name: in MAKE.
        sharpness: of the model.
        size: examples of a data set.
        truth: from :func:`truths`.
        work: how much to do.
        compare: whether every candidate is tried.
        seed: of data and draws.
    """
    make = MAKE[name][0]
    generator = torch.Generator().manual_seed(seed)
    truth = truth.reshape(-1)
    names = NAMES.get(name, (name,))
    few = min(200, work.simulations)
    noise = _noise(make, sharpness, size, few, generator) if name in CALIBRATION else 0.0
    found = [
        Found(sharpness, size, label, float(true), noise, work.simulations)
        for label, true in zip(names, truth, strict=True)
    ]
    for _ in range(work.simulations):
        logits, labels = draw(size, sharpness, generator)
        gathered = make(work.groups).update(logits=logits, labels=labels)
        ours = metrics.interval(gathered, draws=work.draws, confidence=CONFIDENCE, generator=generator)
        lows, highs = ours.low.reshape(-1), ours.high.reshape(-1)
        for one, low, high in zip(found, lows.tolist(), highs.tolist(), strict=True):
            _count(one, "ours", (low, high))
            one.width += (high - low) / work.simulations
        if compare:
            replicates = gathered.replicates(_weights(gathered, work.draws, generator))
            for kind, ends in candidates(ours.estimate, replicates, CONFIDENCE).items():
                _count(found[0], kind, ends)
    return found


def _weights(gathered: Accumulator, draws: int, generator: torch.Generator) -> Tensor:
    occupied = gathered.state_dict()["rows"].nonzero()[:, 0]
    drawn = occupied[torch.randint(len(occupied), (draws, len(occupied)), generator=generator)]
    weights = torch.zeros(draws, gathered.groups, dtype=torch.float64)
    return weights.scatter_add_(1, drawn, torch.ones_like(drawn, dtype=torch.float64))


def _noise(
    make: Callable[[int], Accumulator], sharpness: float, size: int, simulations: int, generator: torch.Generator
) -> float:
    values = []
    for _ in range(simulations):
        logits, labels = draw(size, sharpness, generator, calibrated=True)
        values.append(make(1).update(logits=logits, labels=labels).compute())
    return float(torch.stack(values).mean())


def _count(found: Found, kind: str, ends: Interval) -> None:
    found.hits[kind] = found.hits.get(kind, 0) + (ends[0] <= found.truth <= ends[1])


def table(found: list[Found]) -> str:
    """Render what was found: a table of all metrics, and one of the candidates for each calibration error."""
    head = "| metric | sharpness | examples | truth | truth / noise | held | mean width |"
    parts = [_about(found), head, "|---|---:|---:|---:|---:|---:|---:|"]
    for metric in dict.fromkeys(one.metric for one in found):
        for one in (one for one in found if one.metric == metric):
            parts.append(f"| {metric} {_row(one)} | {_share(one, 'ours')} | {one.width:.4f} |")
    compared = [one for one in found if len(one.hits) > 1]
    kinds = list(compared[0].hits) if compared else []
    if compared:
        head = f"| sharpness | examples | truth | truth / noise | {' | '.join(kinds)} |"
        parts += ["\n## ECE-15: the candidates\n", head, "|---:|---:|---:|---:|" + "---:|" * len(kinds)]
    parts += [f"{_row(one)} | {' | '.join(_share(one, kind) for kind in kinds)} |" for one in compared]
    where = machine.describe(torch.device("cpu"))
    parts.append(f"\n{where['device']}; torch {where['torch']}; {where['date']}.")
    rows = [(label, sharpness, size) for name, sharpness, size in places() for label in NAMES.get(name, (name,))]
    missing = [row for row in rows if row not in {(one.metric, one.sharpness, one.size) for one in found}]
    if missing:
        parts.append(f"\nOf {len(rows)} rows {len(missing)} are not measured yet, from {missing[0][0]} at sharpness ")
        parts[-1] += f"{missing[0][1]:g} on."
    return "\n".join(parts)


def _row(one: Found) -> str:
    ratio = f"{one.truth / one.noise:.1f}{', above' if one.above else ''}" if one.noise else "–"
    return f"| {one.sharpness:g} | {one.size:,} | {one.truth:.4f} | {ratio}"


def _share(one: Found, kind: str) -> str:
    share = one.hits[kind] / one.simulations
    return f"**{share:.1%}**" if GOAL[0] <= share <= GOAL[1] else f"{share:.1%}"


def _about(found: list[Found]) -> str:
    few = {one.metric: one.simulations for one in found}
    sums, others = few.get("accuracy", LIGHT.simulations), few.get("smooth ECE", HEAVY.simulations)
    return f"""# How often intervals hold the truth

Of {sums:,} data sets ({others:,} of smooth ECE and selective risk) the share whose {CONFIDENCE:.0%} interval holds the
truth, in bold from {GOAL[0]:.0%} to {GOAL[1]:.0%}; chance alone moves it by {_chance(sums)} ({_chance(others)}).
K = {K}: logits are drawn from N(0, {SPREAD:g}²), labels from their softmax, and a model gives the softmax of
*sharpness* times the logits: 1 is calibrated, above it overconfident. The truth comes from {EXAMPLES:,} other
examples; the calibration error of the calibrated model is 0. *Noise* is the mean calibration error at that size where
the confidences are right, and "above" a truth of more than {ABOVE:g} times that: there an interval must hold; the rest
is published beside it.

A calibration error is biased upwards and a replicate is biased again: `percentile` adds that. `basic` (Davison &
Hinkley 1997, Sec. 5.2), `bias-corrected` (Efron 1981) and `normal` take it off. Where gaps are of one or two standard
errors replicates show more bias than there is, and taking it off puts the upper end too low: `ours` is basic with an
upper end that is not lowered. It was chosen after the others had been seen, on other seeds than these.
"""


def _chance(simulations: int) -> str:
    return f"{1.96 * (CONFIDENCE * (1 - CONFIDENCE) / simulations) ** 0.5:.1%}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is not known, and write the part and the page of all parts after every row."""
    options = _parser().parse_args(arguments)
    found = [] if options.rows is None else read(options.rows)
    known = {(one.metric, one.sharpness, one.size) for one in found}
    for one in () if options.only_rows else every(known=known):
        found.append(one)
        print(json.dumps(asdict(one)), flush=True)
        pages.put(options.out, "coverage", table(found))
    print(pages.put(options.out, "coverage", table(found)))
    return 0


def read(path: Path) -> list[Found]:
    """Return the rows that a run printed."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [Found(**json.loads(line)) for line in lines if line.startswith("{")]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage", description=__doc__)
    parser.add_argument("--rows", type=Path, metavar="FILE", help="rows that an earlier run printed")
    parser.add_argument("--only-rows", action="store_true", help="measure nothing")
    parser.add_argument("--out", type=Path, default=Path("benchmarks"), help="folder to write to (default benchmarks)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
