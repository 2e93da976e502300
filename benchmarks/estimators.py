"""``python -m benchmarks.estimators``: error of each estimator of a known transition matrix, as Markdown."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from benchmarks.simulated import K, Known, asymmetric, distance, known, seeded, tempered
from softtargets import noise
from softtargets.noise.estimators.registry import observed_label_estimators

SIZES = (2_000, 20_000, 200_000)
SEEDS = 3
TRUSTED = 1_000
GOAL = 0.02
NEAR, APART = 2.0, 5.0
SHARP, FLAT = 0.5, 2.0
ABOUT = f"""# Accuracy of transition matrix estimators

Total variation distance between a row of the estimated and of the true transition matrix, K = {K}: mean (and maximum)
over rows, averaged over {SEEDS} seeds. Labels are drawn from a known transition matrix. Probabilities are exactly
p(observed | x) (*exact*), too sharp (*sharp*, temperature {SHARP:g}) or too flat (*flat*, temperature {FLAT:g}).
Classes are *apart* (all examples can be classified) or *near* (two thirds can). Bold: a mean of at most {GOAL:g}.
`trusted` uses the clean labels of {TRUSTED} examples.
"""


def _by_name(name: str, probs: Tensor, data: Known) -> noise.Transition:
    return noise.estimate_transition(probs, data.labels, method=name)


# all registered estimators, and one that needs clean labels
ESTIMATORS: dict[str, Callable[[Tensor, Known], noise.Transition]] = {
    **{name: partial(_by_name, name) for name in observed_label_estimators()},
    "trusted": lambda probs, data: noise.estimate_transition(probs[:TRUSTED], data.clean[:TRUSTED], method="trusted"),
}


@dataclass(frozen=True)
class Found:
    """The error of one estimator on one problem."""

    noise: str
    classes: str
    probs: str
    size: int
    estimator: str
    mean: float
    largest: float


def transitions() -> dict[str, Tensor]:
    """Return asymmetric and symmetric noise of 40 %, and a random matrix with the same rate."""
    drawn = torch.rand(K, K, generator=seeded(0), dtype=torch.float64).square().fill_diagonal_(0)
    random = 0.6 * torch.eye(K, dtype=torch.float64) + 0.4 * drawn / drawn.sum(1, keepdim=True)
    return {
        "asymmetric 40 %": asymmetric(0.4),
        "symmetric 40 %": noise.symmetric(0.4, K).to_dense(),
        "random 40 %": random,
    }


def measured(sizes: tuple[int, ...] = SIZES, seeds: int = SEEDS) -> Iterator[Found]:
    """Yield the error of every estimator for every noise, class distance, kind of probabilities and size."""
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
    """Return a table for each noise, with a row per problem and size and a column per estimator."""
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
