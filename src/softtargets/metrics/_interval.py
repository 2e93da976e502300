"""Intervals of gathered metrics, and of differences between two models, by the bootstrap."""

from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets._checks import check_count, check_fraction
from softtargets._errors import fail, fail_type
from softtargets.metrics.accumulators import Accumulator

__all__ = ["Interval", "interval", "paired_difference"]

# Numbers of a weighted state held at once, 64 MiB of them.
_NUMBERS = 2**23


@dataclass(frozen=True, eq=False)
class Interval:
    """A number and where it may lie.

    Args:
        estimate: the metric of all examples, or the difference of two.
        low: lower end, of the same shape, float64.
        high: upper end.
        confidence: the share of such intervals that hold the true value, in (0, 1).
        method: "percentile" or "basic".
        p_value: of a difference: two-sided, that there is none; in [2 / (draws + 1), 1].
    """

    estimate: Tensor
    low: Tensor
    high: Tensor
    confidence: float
    method: str
    p_value: Tensor | None = None


def interval(
    accumulator: Accumulator,
    *,
    draws: int = 1000,
    confidence: float = 0.95,
    generator: torch.Generator | None = None,
) -> Interval:
    """Bootstrap interval of a metric (Efron & Tibshirani 1993, Ch. 13; Davison & Hinkley 1997, Sec. 5.2).

    percentile: [q(a), q(1 - a)]  of the metric's replicates, a = (1 - confidence) / 2
    basic:      [2 * estimate - q(1 - a), 2 * estimate - q(a)]

    A replicate draws as many groups of examples as there are, with replacement. Where an accumulator has more groups
    than examples, hardly two share one: the bootstrap over examples. Else the groups are random parts of the examples,
    independent and of one distribution like examples are, and the bootstrap over them has the same limit; of G groups
    the interval's width is known to within some 1 / sqrt(2 G), 2 % for 1,000.

    Which of the two is the metric's own. Calibration errors are sums of absolute values, biased upwards, and a
    replicate is biased once more: the percentile interval would add the bias, the basic one takes it off. Yet of gaps
    of one or two standard errors replicates show more bias than there is. So the lower end takes it off and the upper
    end does not, which is then at least estimate + (q(1 - a) - q(a)) / 2; the lower one is cut at the least
    that the metric can be. Where the error is
    not above its noise even that is too little: benchmarks/coverage.py measures how often each interval holds.

    Args:
        accumulator: with `groups` of at least 2.
        draws: replicates; 1,000 are usual.
        confidence: in (0, 1).
        generator: source of the draws.

    Returns:
        Interval, with tensors of the metric's shape.

    Raises:
        ValueError: where the accumulator has one group, or examples in fewer than two, or numbers are out of range.
        TypeError: for something else than an accumulator.
    """
    counts = _groups_of("accumulator", accumulator)
    _check(draws, confidence)
    estimate = accumulator.compute()
    replicates = _replicates([accumulator], counts, draws, generator)[0]
    method = accumulator.interval_method
    low, high = _ends(estimate, replicates, confidence, method)
    if method == "basic":
        low, high = (
            low.maximum(low.new_tensor(accumulator.least)).minimum(estimate),
            high.maximum(estimate + (high - low) / 2),
        )
    return Interval(estimate, low, high, confidence, method)


def paired_difference(
    first: Accumulator,
    second: Accumulator,
    *,
    draws: int = 1000,
    confidence: float = 0.95,
    generator: torch.Generator | None = None,
) -> Interval:
    """Bootstrap interval and p-value of a metric's difference between two models on the same examples.

    Each replicate draws the same groups for both, so that what makes examples hard cancels.

    p_value = min(1, 2 * (1 + min(#{d <= 0}, #{d >= 0})) / (1 + draws))

    over differences d of replicates; where the interval is "basic", over 2 * estimate - d, which it is made of.

    Args:
        first: of the one model.
        second: of the other: the same metric, settings, groups, seed and examples, by their ids.
        draws: replicates. The least p-value is 2 / (draws + 1): take more where many are compared.
        confidence: in (0, 1).
        generator: source of the draws.

    Returns:
        Interval of first - second, with its p-value.

    Raises:
        ValueError: where settings or the groups' counts differ, there are fewer than two groups, or numbers are out of
            range.
        TypeError: for something else than an accumulator.
    """
    counts, others = _groups_of("first", first), _groups_of("second", second)
    if repr(first) != repr(second):
        raise fail("second", f"the settings {first!r}", repr(second), "make both alike")
    if not torch.equal(counts, others.to(counts.device)):
        got = f"{second.count} examples in other groups than the {first.count} of first"
        raise fail(
            "second", "the same examples as first", got, "give both models the same examples, under the same ids"
        )
    _check(draws, confidence)
    estimate = first.compute() - second.compute()
    ours, theirs = _replicates([first, second], counts, draws, generator)
    method = first.interval_method
    low, high = _ends(estimate, ours - theirs, confidence, method)
    return Interval(estimate, low, high, confidence, method, _p_value(estimate, ours - theirs, method))


def _groups_of(argument: str, accumulator: Accumulator) -> Tensor:
    """Return how many examples each group has."""
    if not isinstance(accumulator, Accumulator):
        raise fail_type(argument, "an accumulator", type(accumulator).__name__, "gather the examples in one first")
    if accumulator.groups < 2:
        raise fail(argument, "two groups or more", accumulator.groups, "make it with groups=1000")
    if accumulator.count == 0:
        raise fail(argument, "at least two examples", "none", "update it first")
    counts = accumulator.group_counts
    if int((counts > 0).sum()) < 2:
        raise fail(argument, "examples in two groups or more", "all in one", "there is nothing to draw from")
    return counts


def _check(draws: int, confidence: float) -> None:
    check_count("draws", draws, remedy="1000 are usual")
    check_fraction("confidence", confidence)
    if not 0 < confidence < 1:
        raise fail("confidence", "above 0 and below 1", f"{confidence:g}", "0.95 is usual")


def _replicates(
    accumulators: list[Accumulator], counts: Tensor, draws: int, generator: torch.Generator | None
) -> list[Tensor]:
    """Return the replicates of each, (draws, ...): the same groups for all of them."""
    occupied = (counts > 0).nonzero()[:, 0]
    numbers = accumulators[0].numbers
    step = max(1, _NUMBERS // max(numbers, len(counts)))
    found: list[list[Tensor]] = [[] for _ in accumulators]
    for start in range(0, draws, step):
        weights = _weights(occupied, len(counts), min(step, draws - start), generator)
        for one, values in zip(accumulators, found, strict=True):
            values.append(one.replicates(weights))
    return [torch.cat(values) for values in found]


def _weights(occupied: Tensor, groups: int, draws: int, generator: torch.Generator | None) -> Tensor:
    """Return how often each group is drawn, (draws, groups) float64; empty ones never."""
    device = occupied.device if generator is None else generator.device
    drawn = torch.randint(len(occupied), (draws, len(occupied)), generator=generator, device=device)
    drawn = occupied[drawn.to(occupied.device)]
    weights = torch.zeros(draws, groups, dtype=torch.float64, device=occupied.device)
    return weights.scatter_add_(1, drawn, torch.ones_like(drawn, dtype=torch.float64))


def _ends(estimate: Tensor, replicates: Tensor, confidence: float, method: str) -> tuple[Tensor, Tensor]:
    tail = replicates.new_tensor([(1 - confidence) / 2, (1 + confidence) / 2])
    # NaN: a replicate without an example of what is asked. Nearest: between two infinities there is no line.
    low, high = replicates.nanquantile(tail, dim=0, interpolation="nearest")
    return (low, high) if method == "percentile" else (2 * estimate - high, 2 * estimate - low)


def _p_value(estimate: Tensor, replicates: Tensor, method: str) -> Tensor:
    values = replicates if method == "percentile" else 2 * estimate - replicates
    drawn = (~values.isnan()).sum(0)
    fewer = torch.minimum((values <= 0).sum(0), (values >= 0).sum(0))
    return (2 * (1 + fewer.double()) / (1 + drawn)).clamp(max=1)
