"""Several calls timed in turn, so that what the machine does meanwhile falls on all of them."""

import random
import statistics
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from benchmarks import meter
from benchmarks.meter import Call


@dataclass(frozen=True)
class Place:
    """Seconds of one contender: median and quartiles over rounds.

    `times_first` is the median over rounds of its time over that of the first contender in the same round.
    """

    seconds: float
    seconds_q1: float
    seconds_q3: float
    times_first: float
    rounds: int


def race(
    contenders: Mapping[str, Call], *, rounds: int, warmup: int = 1, parts: Mapping[str, int] | None = None
) -> dict[str, Place]:
    """Call each contender once per round, in an order of the round's own.

    Args:
        contenders: calls by name; the first is what the others are compared with.
        rounds: timed ones, at least 2.
        warmup: rounds before them.
        parts: contenders that do one in so many parts of the work; their time is multiplied by it.
    """
    order, spent = random.Random(0), {name: [] for name in contenders}
    for i in range(warmup + rounds):
        for name in order.sample(list(contenders), len(contenders)):
            seconds = (parts or {}).get(name, 1) * meter.seconds(contenders[name], torch.device("cpu"))
            if i >= warmup:
                spent[name].append(seconds)
    first = next(iter(spent.values()))
    return {name: _place(seconds, first) for name, seconds in spent.items()}


def _place(seconds: list[float], first: list[float]) -> Place:
    low, middle, high = statistics.quantiles(seconds, n=4, method="inclusive")
    ratio = statistics.median(one / base for one, base in zip(seconds, first, strict=True))
    return Place(middle, low, high, ratio, len(seconds))
