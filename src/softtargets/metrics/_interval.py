"""Bootstrap intervals of accumulated metrics, and of differences between two models."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets._checks import check_count, check_fraction
from softtargets._errors import fail, fail_type
from softtargets._results import TensorResult, shown
from softtargets.metrics.accumulators import Accumulator

__all__ = ["Interval", "interval", "paired_difference"]

# Weights of groups that are held in memory at a time, 2 MiB.
_NUMBERS = 2**18


@dataclass(frozen=True, eq=False, repr=False)
class Interval(TensorResult):
    """An estimate and its bootstrap interval.

    Args:
        estimate: the metric of all examples, or the difference of two metrics.
        low: lower end, of the same shape, float64.
        high: upper end.
        confidence: nominal coverage of the interval, in (0, 1).
        method: "percentile" or "basic".
        p_value: for a difference, the two-sided p-value of no difference, in [2 / (n_draws + 1), 1].
    """

    estimate: Tensor
    low: Tensor
    high: Tensor
    confidence: float
    method: str
    p_value: Tensor | None = None

    def __repr__(self) -> str:
        ends = f"estimate={shown(self.estimate)}, low={shown(self.low)}, high={shown(self.high)}"
        p_value = "" if self.p_value is None else f", p_value={shown(self.p_value)}"
        return f"Interval({ends}, confidence={self.confidence:g}, method='{self.method}'{p_value})"


def interval(
    accumulator: Accumulator,
    *,
    n_draws: int = 1000,
    confidence: float = 0.95,
    generator: torch.Generator | None = None,
) -> Interval:
    """Bootstrap interval of a metric (Efron & Tibshirani 1993, Ch. 13; Davison & Hinkley 1997, Sec. 5.2).

    percentile: [q(a), q(1 - a)]  of the metric's replicates, a = (1 - confidence) / 2
    basic:      [2 * estimate - q(1 - a), 2 * estimate - q(a)]

    A replicate draws as many groups of examples as there are, with replacement. If an accumulator has more groups than
    examples, few examples share a group, and this is the bootstrap over examples. Otherwise each group is a random
    subset of the examples. The groups are then independent and identically distributed, and the bootstrap has the same
    limit. With G groups the relative error of the interval's width is about 1 / sqrt(2 G), 2 % for 1,000.

    The metric determines the kind of interval. Calibration errors are sums of absolute values and therefore biased
    upwards, and each replicate is biased again. The percentile interval would add this bias, and the basic interval
    subtracts it. For gaps of one or two standard errors, however, the replicates overestimate the bias. The lower end
    is therefore that of the basic interval, and the upper end is at least estimate + (q(1 - a) - q(a)) / 2. Both are
    clipped to the possible values of the metric. For calibration errors smaller than their sampling noise the coverage
    is still too low; benchmarks/coverage.py measures it.

    Args:
        accumulator: with `groups` of at least 2.
        n_draws: number of replicates; 1,000 is usual.
        confidence: nominal coverage, in (0, 1).
        generator: random generator of the draws. Default: torch's global one.

    Returns:
        Interval, with tensors of the metric's shape.

    Raises:
        ValueError: if the accumulator has one group, or examples in fewer than two groups, or a number is out of range.
        TypeError: if it is not an accumulator.

    Example:
        >>> from softtargets.metrics import Accuracy
        >>> probs = torch.tensor([[0.9, 0.1], [0.2, 0.8]]).repeat(50, 1)
        >>> accumulator = Accuracy(groups=1000).update(probs, torch.arange(100) // 2 % 2)        # half of them right
        >>> found = interval(accumulator, generator=torch.Generator().manual_seed(0))
        >>> float(found.estimate), bool(0.35 < found.low < 0.45 and 0.55 < found.high < 0.65)
        (0.5, True)

    Aliases:
        bootstrap; BootStrapper; confidence_interval
    """
    counts = groups_of("accumulator", accumulator)
    _check(n_draws, confidence)
    (replicates,) = replicates_of([accumulator], counts, n_draws, generator)
    return interval_of(accumulator, replicates, confidence)


def paired_difference(
    first: Accumulator,
    second: Accumulator,
    *,
    n_draws: int = 1000,
    confidence: float = 0.95,
    generator: torch.Generator | None = None,
) -> Interval:
    """Bootstrap interval and p-value of a metric's difference between two models on the same examples.

    Each replicate draws the same groups for both models, so that the difficulty of the examples cancels.

    p_value = min(1, 2 * (1 + min(#{d <= 0}, #{d >= 0})) / (1 + n_draws))

    over the differences d of replicates; if the interval is "basic", over 2 * estimate - d.

    Args:
        first: accumulator of the first model.
        second: accumulator of the second model, with the same metric, settings, groups, seed and examples (by their
            ids).
        n_draws: number of replicates. The smallest p-value is 2 / (n_draws + 1); use more to compare many models.
        confidence: nominal coverage, in (0, 1).
        generator: random generator of the draws. Default: torch's global one.

    Returns:
        Interval of first - second, with its p-value.

    Raises:
        ValueError: if settings or the groups' counts differ, there are fewer than two groups, or a number is out of
            range.
        TypeError: if one is not an accumulator.

    Example:
        >>> from softtargets.metrics import Accuracy
        >>> probs, labels = torch.tensor([[0.9, 0.1], [0.2, 0.8]]).repeat(50, 1), torch.arange(100) % 2
        >>> right, wrong = (Accuracy(groups=1000).update(rows, labels) for rows in (probs, probs.flip(1)))
        >>> float(paired_difference(right, wrong, n_draws=199).p_value)        # the smallest possible, 2 / (199 + 1)
        0.01
    """
    counts = check_pair(first, second)
    _check(n_draws, confidence)
    ours, theirs = replicates_of([first, second], counts, n_draws, generator)
    return difference_of(first, second, ours - theirs, confidence)


def interval_of(accumulator: Accumulator, replicates: Tensor, confidence: float) -> Interval:
    """Return the interval of a metric from its replicates, (n_draws, ...)."""
    estimate, method = accumulator.compute(), accumulator.interval_method
    low, high = _ends(estimate, replicates, confidence, method)
    if method == "basic":
        low, high = (
            low.maximum(low.new_tensor(accumulator.least)).minimum(estimate),
            high.maximum(estimate + (high - low) / 2).clamp(max=accumulator.most).maximum(estimate),
        )
    return Interval(estimate, low, high, confidence, method)


def difference_of(first: Accumulator, second: Accumulator, replicates: Tensor, confidence: float) -> Interval:
    """Return the interval of first - second from the differences of their replicates, (n_draws, ...)."""
    estimate, method = first.compute() - second.compute(), first.interval_method
    low, high = _ends(estimate, replicates, confidence, method)
    return Interval(estimate, low, high, confidence, method, _p_value(estimate, replicates, method))


def groups_of(argument: str, accumulator: Accumulator) -> Tensor:
    """Return the number of examples in each group, after checking that there are enough groups."""
    if not isinstance(accumulator, Accumulator):
        raise fail_type(argument, "an accumulator", type(accumulator).__name__, "pass one such as ECE(groups=1000)")
    if accumulator.groups < 2:
        raise fail(argument, "two groups or more", accumulator.groups, "create it with groups=1000")
    if accumulator.count == 0:
        raise fail(argument, "at least two examples", "none", "call update first")
    counts = accumulator.group_counts
    if int((counts > 0).sum()) < 2:
        raise fail(argument, "examples in two groups or more", "all in one", "add more examples")
    return counts


def check_pair(first: Accumulator, second: Accumulator) -> Tensor:
    """Return the number of examples in each group, after checking that both have the same settings and examples."""
    counts, others = groups_of("first", first), groups_of("second", second)
    if repr(first) != repr(second):
        raise fail("second", f"the settings {first!r}", repr(second), "create both with the same settings")
    if not torch.equal(counts, others.to(counts.device)):
        got = f"{second.count} examples in other groups than the {first.count} of first"
        raise fail(
            "second", "the same examples as first", got, "give both models the same examples, under the same ids"
        )
    return counts


def _check(n_draws: int, confidence: float) -> None:
    check_count("n_draws", n_draws, remedy="1000 is usual")
    check_fraction("confidence", confidence)
    if not 0 < confidence < 1:
        raise fail("confidence", "above 0 and below 1", f"{confidence:g}", "0.95 is usual")


def replicates_of(
    accumulators: Sequence[Accumulator], counts: Tensor, n_draws: int, generator: torch.Generator | None
) -> list[Tensor]:
    """Return the replicates of each accumulator, (n_draws, ...), which draw the same groups."""
    occupied = (counts > 0).nonzero()[:, 0]
    step = max(1, _NUMBERS // len(counts))
    found: list[list[Tensor]] = [[] for _ in accumulators]
    for start in range(0, n_draws, step):
        weights = _weights(occupied, len(counts), min(step, n_draws - start), generator)
        for one, values in zip(accumulators, found, strict=True):
            values.append(one.replicates(weights))
    return [torch.cat(values) for values in found]


def _weights(occupied: Tensor, groups: int, n_draws: int, generator: torch.Generator | None) -> Tensor:
    """Return how often each group is drawn, (n_draws, groups) float64; empty groups are never drawn."""
    device = occupied.device if generator is None else generator.device
    drawn = torch.randint(len(occupied), (n_draws, len(occupied)), generator=generator, device=device)
    drawn = occupied[drawn.to(occupied.device)]
    weights = torch.zeros(n_draws, groups, dtype=torch.float64, device=occupied.device)
    return weights.scatter_add_(1, drawn, torch.ones_like(drawn, dtype=torch.float64))


def _ends(estimate: Tensor, replicates: Tensor, confidence: float, method: str) -> tuple[Tensor, Tensor]:
    tail = replicates.new_tensor([(1 - confidence) / 2, (1 + confidence) / 2])
    # A replicate is NaN if it has no example that the metric needs. "nearest": interpolating infinities gives NaN.
    low, high = replicates.nanquantile(tail, dim=0, interpolation="nearest")
    return (low, high) if method == "percentile" else (2 * estimate - high, 2 * estimate - low)


def _p_value(estimate: Tensor, replicates: Tensor, method: str) -> Tensor:
    values = replicates if method == "percentile" else 2 * estimate - replicates
    drawn = (~values.isnan()).sum(0)
    fewer = torch.minimum((values <= 0).sum(0), (values >= 0).sum(0))
    return (2 * (1 + fewer.double()) / (1 + drawn)).clamp(max=1)
