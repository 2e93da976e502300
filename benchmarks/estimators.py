"""``python -m benchmarks.estimators``: how near each estimator comes to a transition that is known, as Markdown."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from benchmarks.simulated import K, Known, asymmetric, distance, known, seeded, tempered
from softtargets import noise
from softtargets.noise import estimators

SIZES = (2_000, 20_000, 200_000)
SEEDS = 3
TRUSTED = 1_000
GOAL = 0.02
NEAR, APART = 2.0, 5.0
SHARP, FLAT = 0.5, 2.0
ABOUT = f"""# How near estimators come to the transition

Total variation between a row of the estimated and of the true transition, K = {K}: mean (and largest) over rows, mean
over {SEEDS} seeds. Labels are drawn from a known transition, probabilities are p(observed | x) exactly (*exact*), too
sharp (*sharp*, temperature {SHARP:g}) or too flat (*flat*, {FLAT:g}). Classes are *apart* (all can be told) or *near*
(two thirds can). In bold: a mean of at most {GOAL:g}. `trusted_set` knows the clean labels of {TRUSTED} examples.
"""


def _by_name(name: str, probs: Tensor, data: Known) -> noise.Transition:
    return noise.estimate_transition(probs, data.labels, method=name)


# all that are registered, and one that needs clean labels
ESTIMATORS: dict[str, Callable[[Tensor, Known], noise.Transition]] = {
    **{name: partial(_by_name, name) for name in estimators.ESTIMATORS},
    "trusted_set": lambda probs, data: noise.trusted_set(probs[:TRUSTED], data.clean[:TRUSTED]),
}


@dataclass(frozen=True)
class Found:
    """One estimator on one problem."""

    noise: str
    classes: str
    probs: str
    size: int
    estimator: str
    mean: float
    largest: float


def transitions() -> dict[str, Tensor]:
    """The noises: asymmetric and symmetric of 40 %, and rows drawn at random with as much."""
    drawn = torch.rand(K, K, generator=seeded(0), dtype=torch.float64).square().fill_diagonal_(0)
    random = 0.6 * torch.eye(K, dtype=torch.float64) + 0.4 * drawn / drawn.sum(1, keepdim=True)
    return {
        "asymmetric 40 %": asymmetric(0.4),
        "symmetric 40 %": noise.symmetric(0.4, K).to_dense(),
        "random 40 %": random,
    }


def measured(sizes: tuple[int, ...] = SIZES, seeds: int = SEEDS) -> Iterator[Found]:
    """Yield the error of every estimator for every noise, distance of the classes, kind of probabilities and size."""
    for label, transition in transitions().items():
        for classes, apart in (("apart", APART), ("near", NEAR)):
            for size in sizes:
                problems = [known(size, transition, distance=apart, seed=seed) for seed in range(seeds)]
                for kind, temperature in (("exact", 1.0), ("sharp", SHARP), ("flat", FLAT)):
                    for name, estimator in ESTIMATORS.items():
                        rows = torch.stack(
                            [
                                distance(estimator(tempered(data.probs, temperature), data), transition)
                                for data in problems
                            ]
                        )
                        mean, largest = float(rows.mean()), float(rows.amax(1).mean())
                        yield Found(label, classes, kind, size, name, mean, largest)


def table(found: list[Found]) -> str:
    """Render a table for each noise: a row for each kind of problem and size, a column for each estimator."""
    parts = [ABOUT]
    for label in dict.fromkeys(one.noise for one in found):
        parts += [f"## {label}\n", f"| classes | probabilities | examples | {' | '.join(ESTIMATORS)} |"]
        parts.append("|---|---|---:|" + "---:|" * len(ESTIMATORS))
        rows: dict[tuple[str, str, int], list[str]] = {}
        for one in (one for one in found if one.noise == label):
            mean = f"**{one.mean:.3f}**" if one.mean <= GOAL else f"{one.mean:.3f}"
            rows.setdefault((one.classes, one.probs, one.size), []).append(f"{mean} ({one.largest:.3f})")
        parts += [f"| {c} | {p} | {n:,} | {' | '.join(cells)} |" for (c, p, n), cells in rows.items()]
        parts.append("")
    return "\n".join(parts)


def main() -> int:
    """Print the table."""
    print(table(list(measured())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
