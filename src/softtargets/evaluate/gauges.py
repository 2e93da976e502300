"""The metrics of one set of predictions, gathered together, and what two sets of the same rows differ by."""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from softtargets import metrics
from softtargets.evaluate.counts import Overconfidence, Tally
from softtargets.evaluate.measures import MEASURES
from softtargets.evaluate.results import Interval, Metric
from softtargets.evaluate.statistics import CONFIDENCE, wilson
from softtargets.metrics import Accumulator, Collection
from softtargets.metrics.rows import Kind

BINS = 15
# Groups of rows that intervals resample; fewer where the state of each is large, up to so many numbers in all.
GROUPS, FEWER, _NUMBERS = 1000, 250, 2**20
DRAWS = 1000
# Of fewer rows an interval says nothing.
LEAST = 20

BRIER_PARTS = ("brier_reliability", "brier_resolution", "brier_uncertainty", "brier_within_bin")
# Of which an interval is known where a draw could show none.
SHARES = ("accuracy", "top5_accuracy")
SELECTIVE = ("aurc", "excess_aurc", "error_auroc", "coverage_at_1", "coverage_at_5")


class Change(NamedTuple):
    """What a metric differs by, the interval and the p-value of that, or why there is none; how far it may be off."""

    name: str
    value: float | None
    interval: Interval | None = None
    p: float | None = None
    why: str = ""
    bound: float = 0.0


class Gauges:
    """Accumulators that read each row once.

    Args:
        num_classes: of the rows.
        seed: of the groups, and of the draws.
        draws: of groups, for each interval.
        whole: gather every metric; else those that are also shown after a temperature.
    """

    def __init__(self, num_classes: int, seed: int, *, draws: int = DRAWS, whole: bool = True) -> None:
        self.seed, self.draws = seed, draws
        few = FEWER if num_classes * BINS * FEWER <= _NUMBERS else 1
        settings: list[dict[str, Any]] = [{"seed": seed, "groups": count} for count in (GROUPS, FEWER, few)]
        groups, fewer, of_classes = settings
        self.accuracy = metrics.Accuracy(**groups)
        self.width = metrics.ECE(bins=BINS, **groups)
        self.mass = metrics.ECE(bins=BINS, binning="mass", **fewer)
        self.smooth = metrics.SmoothECE(**fewer)
        self.risk = metrics.SelectiveRisk(**fewer)
        self.classwise = metrics.ECE(bins=BINS, classwise=True, **of_classes)
        self.tally = Tally()
        self._made: dict[tuple[str, ...], Accumulator] = {
            ("accuracy",): self.accuracy,
            ("nll",): metrics.NLL(**groups),
            ("brier",): metrics.Brier(**groups),
            ("overconfidence",): Overconfidence(**groups),
            ("ece",): self.width,
            ("ece_mass",): self.mass,
            ("smooth_ece",): self.smooth,
            SELECTIVE: self.risk,
        }
        if num_classes > 5:
            self._made["top5_accuracy",] = metrics.Accuracy(top_k=5, **groups)
        if whole:
            self._made |= {
                BRIER_PARTS: metrics.BrierDecomposition(bins=BINS, **of_classes),
                ("ece_debiased",): metrics.ECE(bins=BINS, norm=2, debiased=True, **groups),
                ("ece_max",): metrics.ECE(bins=BINS, norm="max", **groups),
                ("ece_classwise",): self.classwise,
            }
        self._all = Collection([*self._made.values(), *([self.tally] if whole else [])])

    def update(self, values: Tensor, kind: Kind, labels: Tensor, ids: Tensor) -> None:
        """Add (n, K) rows with (n,) labels and ids."""
        if kind == "probs":
            self._all.update(values, labels, ids=ids)
        else:
            self._all.update(None, labels, logits=values, ids=ids)

    def measured(self) -> tuple[Metric, ...]:
        """Return every metric in the order of the page, with its interval."""
        found: dict[str, Metric] = {}
        alike = self._alike()
        for names, accumulator in self._made.items():
            why = _no_interval(accumulator) or alike
            made = None if why else metrics.interval(accumulator, **self._drawn())
            values = accumulator.compute() if made is None else made.estimate
            bounds = self._bounds(accumulator, len(names))
            for place, (name, value) in enumerate(zip(names, values.reshape(-1).tolist(), strict=True)):
                ends = None if made is None else _ends(made, place)
                found[name] = _metric(name, value, ends, why, bounds[place])
                if name in SHARES and value in (0, 1) and accumulator.count >= LEAST:
                    found[name] = Metric(name, value, wilson(round(value * accumulator.count), accumulator.count))
        return tuple(found[name] for name in MEASURES if name in found)

    def less(self, other: "Gauges", *, draws: int | None = None) -> tuple[Change, ...]:
        """Return what the core metrics are here less there, on the same rows, in the order of the page."""
        found: dict[str, Change] = {}
        for names, accumulator in self._made.items():
            if not any(MEASURES[name].core for name in names):
                continue
            beside, why = other._made[names], _no_interval(accumulator)
            values = (accumulator.compute() - beside.compute()).reshape(-1).tolist()
            made = None
            if not why:
                made = metrics.paired_difference(accumulator, beside, **self._drawn(draws))
            bounds = map(
                sum, zip(self._bounds(accumulator, len(names)), other._bounds(beside, len(names)), strict=True)
            )
            for place, (name, value, bound) in enumerate(zip(names, values, bounds, strict=True)):
                found[name] = _change(name, value, made, why, place)._replace(bound=bound)
        return tuple(found[name] for name, measure in MEASURES.items() if name in found and measure.core)

    def _alike(self) -> str:
        """Return why draws of the rows say nothing, where they all have the same outcome."""
        share = float(self.accuracy.compute())
        if 0 < share < 1:
            return ""
        outcome, other = ("right", "wrong") if share else ("wrong", "right")
        return f"No interval: every row is {outcome}, and draws of them cannot tell how many others are {other}."

    def _bounds(self, accumulator: Accumulator, count: int) -> list[float]:
        """Return how far each value may be from the exact one: not at all where it is made of sums."""
        for sketch in (self.mass, self.smooth, self.risk):
            if accumulator is sketch:
                return sketch.bound().reshape(-1).tolist()
        return [0.0] * count

    def _drawn(self, draws: int | None = None) -> dict[str, Any]:
        # the same draws for every metric and model
        generator = torch.Generator().manual_seed(self.seed)
        return {"draws": draws or self.draws, "confidence": CONFIDENCE, "generator": generator}


def _no_interval(accumulator: Accumulator) -> str:
    """Return why there is no interval, or nothing where there is one."""
    if accumulator.count < LEAST:
        return f"No interval: of fewer than {LEAST} rows it would say nothing."
    return "No interval: so many classes have too many bins to draw from." if accumulator.groups == 1 else ""


def _metric(name: str, value: float, ends: Interval | None, why: str, bound: float) -> Metric:
    if math.isnan(value):
        return Metric(name, None, why=f"{MEASURES[name].label} needs right rows and wrong ones.")
    if math.isinf(value):
        return Metric(name, value, why="No interval: a label has the probability 0, which makes it infinite.")
    return Metric(name, value, ends, why, bound)


def _change(name: str, value: float, made: metrics.Interval | None, why: str, place: int) -> Change:
    if not math.isfinite(value):
        reason = f"{MEASURES[name].label} is infinite here or there, so that the difference has no interval."
        return Change(name, None if math.isnan(value) else value, why=reason)
    if made is None or made.p_value is None:
        return Change(name, value, why=why)
    return Change(name, value, _ends(made, place), float(made.p_value.reshape(-1)[place]))


def _ends(made: metrics.Interval, place: int) -> Interval:
    return Interval(float(made.low.reshape(-1)[place]), float(made.high.reshape(-1)[place]))
