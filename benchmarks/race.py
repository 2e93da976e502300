"""Time several calls alternately, so that other load on the machine affects all of them equally."""

import math
import random
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from benchmarks import meter
from benchmarks.meter import Call

LEAST_ROUNDS = 3


@dataclass(frozen=True)
class Place:
    """The time of one contender in seconds: median and quartiles over rounds.

    `times_first` is its time relative to the first contender's in the same round, as a median over rounds.
    """

    seconds: float
    seconds_q1: float
    seconds_q3: float
    times_first: float
    rounds: int


def race(
    contenders: Mapping[str, Call],
    *,
    rounds: int,
    warmup: int = 1,
    parts: Mapping[str, int] | None = None,
    fewer: Mapping[str, int] | None = None,
    seconds: float = math.inf,
) -> dict[str, Place]:
    """Call each contender once per round, in a new random order in each round.

    Args:
        contenders: calls by name; the others are compared with the first.
        rounds: number of timed rounds, at least 2.
        warmup: number of untimed rounds before them.
        parts: for contenders that do only 1/n of the work, the factor n by which their time is multiplied.
        fewer: for slow contenders, the number of rounds in which they take part; they are not warmed up.
        seconds: no further round starts after this time, if there were LEAST_ROUNDS.
    """
    order, spent = random.Random(0), {name: [] for name in contenders}
    start = time.monotonic()
    for i in range(warmup + rounds):
        if i >= warmup + LEAST_ROUNDS and time.monotonic() - start > seconds:
            break
        for name in order.sample(list(contenders), len(contenders)):
            if name in (fewer or {}) and not warmup <= i < warmup + (fewer or {})[name]:
                continue
            taken = (parts or {}).get(name, 1) * meter.seconds(contenders[name], torch.device("cpu")).seconds
            if i >= warmup:
                spent[name].append(taken)
    first = next(iter(spent.values()))
    return {name: _place(seconds, first) for name, seconds in spent.items()}


def _place(seconds: list[float], first: list[float]) -> Place:
    low, middle, high = statistics.quantiles(seconds, n=4, method="inclusive")
    ratio = statistics.median(one / base for one, base in zip(seconds, first, strict=False))
    return Place(middle, low, high, ratio, len(seconds))
