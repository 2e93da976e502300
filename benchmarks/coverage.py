"""``python -m benchmarks.coverage``: coverage of 95 % intervals for known true values, as Markdown.

The models, the sizes, four methods and the definition of "above" were fixed before any result was seen. The fifth
method, `ours`, was developed after the results of these four on other seeds. The number of simulations is limited by
running time.

Each row is printed as soon as it is known, and the page is rewritten. `--rows FILE`, a file with the printed rows,
resumes an interrupted run. `--only-rows` only writes the page.
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
# for metrics whose interval does not depend on the miscalibration of the model
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
    """The amount of computation for a kind of metric.

    Args:
        simulations: number of data sets for each model and size.
        draws: number of bootstrap replicates.
        groups: number of groups of the accumulators.
    """

    simulations: int
    draws: int
    groups: int


# a replicate of a ranking metric or of smooth ECE takes a hundred times longer than one of a sum
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
    """The coverage of one metric for one model and size.

    Args:
        sharpness: sharpness of the model.
        size: number of examples of a data set.
        metric: name of the metric.
        truth: its value on a very large sample.
        noise: for a calibration error, its mean if the model is calibrated; otherwise 0.
        simulations: number of data sets.
        hits: number of intervals that contain the truth, by method.
        width: mean width of the first method's intervals.
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
        """Whether the truth is more than ABOVE times the noise."""
        return self.truth > ABOVE * self.noise


def draw(size: int, sharpness: float, generator: torch.Generator, *, calibrated: bool = False) -> tuple[Tensor, Tensor]:
    """Draw the logits of a model, and labels.

    Args:
        size: number of examples.
        sharpness: factor by which the true logits are multiplied; 1 gives p(label | x) exactly, above 1 the model is
            overconfident.
        generator: random number generator.
        calibrated: draw the labels from the model instead, so that it is calibrated.
    """
    true = SPREAD * torch.randn(size, K, generator=generator)
    logits = sharpness * true
    labels = torch.multinomial((logits if calibrated else true).softmax(1), 1, generator=generator)[:, 0]
    return logits, labels


def truths(sharpness: float, examples: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Return every metric on a very large sample; the calibration error of the exact model is 0."""
    gathered = {name: make(1) for name, (make, *_) in MAKE.items()}
    for start in range(0, examples, 1_000_000):
        logits, labels = draw(min(1_000_000, examples - start), sharpness, generator)
        metrics.Collection(gathered).update(logits=logits, labels=labels)
    found = {name: one.compute() for name, one in gathered.items()}
    if sharpness == 1:
        found |= {name: torch.zeros_like(found[name]) for name in CALIBRATION}
    return found


def candidates(estimate: Tensor, replicates: Tensor, confidence: float) -> dict[str, Interval]:
    """Return the intervals that are compared for ECE, from an estimate and its (R,) bootstrap replicates.

    percentile: quantiles of the replicates. basic: 2 * estimate - these quantiles (Davison & Hinkley 1997, Sec. 5.2).
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
    """Return every metric, model and size to measure, in order."""
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
    """Yield the results for every metric, model and size that is not known yet."""
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
    """Return how often the intervals of a metric contain its true value.

    Args:
        name: key of MAKE.
        sharpness: sharpness of the model.
        size: number of examples of a data set.
        truth: from :func:`truths`.
        work: number of simulations, draws and groups.
        compare: whether to measure all methods of :func:`candidates`.
        seed: seed of data and bootstrap draws.
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
        ours = metrics.interval(gathered, n_draws=work.draws, confidence=CONFIDENCE, generator=generator)
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
    """Return a table of all metrics, and one that compares the methods for ECE, as Markdown."""
    head = "| metric | sharpness | examples | true value | true value / noise | coverage | mean width |"
    parts = [_about(found), *_summary(found), "", head, "|---|---:|---:|---:|---:|---:|---:|"]
    for metric in dict.fromkeys(one.metric for one in found):
        for one in (one for one in found if one.metric == metric):
            parts.append(f"| {metric} {_row(one)} | {_share(one, 'ours')} | {one.width:.4f} |")
    compared = [one for one in found if len(one.hits) > 1]
    kinds = list(compared[0].hits) if compared else []
    if compared:
        head = f"| sharpness | examples | true value | true value / noise | {' | '.join(kinds)} |"
        parts += ["\n## ECE-15: comparison of methods\n", head, "|---:|---:|---:|---:|" + "---:|" * len(kinds)]
    parts += [f"{_row(one)} | {' | '.join(_share(one, kind) for kind in kinds)} |" for one in compared]
    where = machine.describe(torch.device("cpu"))
    parts.append(f"\n{where['device']}; torch {where['torch']}; {where['date']}.")
    rows = [(label, sharpness, size) for name, sharpness, size in places() for label in NAMES.get(name, (name,))]
    missing = [row for row in rows if row not in {(one.metric, one.sharpness, one.size) for one in found}]
    if missing:
        parts.append(
            f"\n{len(missing)} of {len(rows)} rows are not measured yet, starting with {missing[0][0]} at sharpness "
        )
        parts[-1] += f"{missing[0][1]:g}."
    return "\n".join(parts)


def _summary(found: list[Found]) -> list[str]:
    """Return, for each metric, in how many of the rows that must have the stated coverage it is reached."""
    within = f"of these from {GOAL[0]:.0%} to {GOAL[1]:.0%}"
    lines = [
        f"| metric | rows that must have {CONFIDENCE:.0%} | {within} | coverage over them |",
        "|---|---:|---:|---:|",
    ]
    for metric in dict.fromkeys(one.metric for one in found):
        rows = [one for one in found if one.metric == metric and (one.above or metric not in CALIBRATION)]
        if rows:
            reached = sum(GOAL[0] <= one.hits["ours"] / one.simulations <= GOAL[1] for one in rows)
            share = sum(one.hits["ours"] for one in rows) / sum(one.simulations for one in rows)
            lines.append(f"| {metric} | {len(rows)} | {reached} | {share:.1%} |")
    return lines


def _row(one: Found) -> str:
    ratio = f"{one.truth / one.noise:.1f}{', above' if one.above else ''}" if one.noise else "–"
    return f"| {one.sharpness:g} | {one.size:,} | {one.truth:.4f} | {ratio}"


def _share(one: Found, kind: str) -> str:
    share = one.hits[kind] / one.simulations
    return f"**{share:.1%}**" if GOAL[0] <= share <= GOAL[1] else f"{share:.1%}"


def _about(found: list[Found]) -> str:
    few = {one.metric: one.simulations for one in found}
    sums, others = few.get("accuracy", LIGHT.simulations), few.get("smooth ECE", HEAVY.simulations)
    return f"""# Coverage of confidence intervals

*Coverage* is the fraction of {sums:,} data sets ({others:,} for smooth ECE and selective risk) whose {CONFIDENCE:.0%}
interval contains the true value; bold from {GOAL[0]:.0%} to {GOAL[1]:.0%}. Its sampling error (95 %) is
±{_chance(sums)} (±{_chance(others)}). K = {K}. Logits are drawn from N(0, {SPREAD:g}²) and labels from their softmax.
A model predicts the softmax of *sharpness* times the logits: 1 is calibrated, above 1 is overconfident. True values
are computed on {EXAMPLES:,} other examples; the calibration error of the calibrated model is 0. *Noise* is the mean
calibration error of a calibrated model at that size. "above" marks true values of more than {ABOVE:g} times the
noise, for which the intervals must have the stated coverage. The other rows are shown for information.

The estimated calibration error is biased upwards, and a bootstrap replicate is biased again. `percentile` includes
both biases. `basic` (Davison & Hinkley 1997, Sec. 5.2), `bias-corrected` (Efron 1981) and `normal` correct for them.
If the gaps are only one or two standard errors, the replicates overestimate the bias, and correcting for it makes the
upper end too low. `ours` is `basic` with an upper end that is not lowered. It was chosen after the results of the
other methods had been seen on other seeds.
"""


def _chance(simulations: int) -> str:
    return f"{1.96 * (CONFIDENCE * (1 - CONFIDENCE) / simulations) ** 0.5:.1%}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the missing rows; write the section and the page after every row."""
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
    """Return the rows that an earlier run printed."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [Found(**json.loads(line)) for line in lines if line.startswith("{")]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage", description=__doc__)
    parser.add_argument("--rows", type=Path, metavar="FILE", help="file with the rows that an earlier run printed")
    parser.add_argument("--only-rows", action="store_true", help="only write the page, measure nothing")
    parser.add_argument("--out", type=Path, default=Path("benchmarks"), help="output folder (default: benchmarks)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
