"""All metrics of one model, accumulated together, and their differences between two models on the same rows."""

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from softtargets import metrics
from softtargets.evaluate.catalog import METRICS
from softtargets.evaluate.counts import Overconfidence, RowCounts
from softtargets.evaluate.results import IntervalEnds, MetricValue
from softtargets.metrics import Accumulator, Collection
from softtargets.metrics.rows import Kind
from softtargets.metrics.statistics import wilson

BINS = 15
# Of the intervals, and of the tests: a difference is real if its adjusted p-value lies below the level.
CONFIDENCE, LEVEL = 0.95, 0.05
# Random groups of rows that the bootstrap resamples; fewer where the state of each is large, up to so many numbers.
GROUPS, FEWER, _NUMBERS = 1000, 250, 2**20
DRAWS = 1000
# An interval of fewer rows is not informative.
LEAST = 20

BRIER_PARTS = ("brier_reliability", "brier_resolution", "brier_uncertainty", "brier_within_bin")
# Their intervals are known even where no draw can differ: if all rows are right, or all wrong.
SHARES = ("accuracy", "top5_accuracy")
SELECTIVE = ("aurc", "excess_aurc", "misclassification_auroc", "coverage_at_1", "coverage_at_5")


class MetricSuite:
    """Accumulators that read each row once.

    Args:
        num_classes: K.
        seed: of the groups and of the draws.
        draws: of groups, for each interval.
        whole: compute every metric; else those that are also shown after temperature scaling.
    """

    def __init__(self, num_classes: int, seed: int, *, draws: int = DRAWS, whole: bool = True) -> None:
        self.seed, self.draws = seed, draws
        few = FEWER if num_classes * BINS * FEWER <= _NUMBERS else 1
        settings: list[dict[str, Any]] = [{"seed": seed, "groups": count} for count in (GROUPS, FEWER, few)]
        groups, fewer, of_classes = settings
        self.accuracy = metrics.Accuracy(**groups)
        self.width = metrics.ECE(n_bins=BINS, **groups)
        self.mass = metrics.ECE(n_bins=BINS, binning="mass", **fewer)
        self.smooth = metrics.SmoothECE(**fewer)
        self.risk = metrics.SelectiveRisk(**fewer)
        self.classwise = metrics.ECE(n_bins=BINS, classwise=True, **of_classes)
        self.counts = RowCounts()
        self._accumulators: dict[tuple[str, ...], Accumulator] = {
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
            self._accumulators["top5_accuracy",] = metrics.Accuracy(top_k=5, **groups)
        if whole:
            self._accumulators |= {
                BRIER_PARTS: metrics.BrierDecomposition(n_bins=BINS, **of_classes),
                ("ece_debiased",): metrics.ECE(n_bins=BINS, norm="l2", debiased=True, **groups),
                ("ece_max",): metrics.ECE(n_bins=BINS, norm="max", **groups),
                ("ece_classwise",): self.classwise,
            }
        counted = {"counts": self.counts} if whole else {}
        self._all = Collection({" ".join(names): one for names, one in self._accumulators.items()} | counted)

    def update(self, values: Tensor, kind: Kind, labels: Tensor, ids: Tensor) -> None:
        """Add (n, K) rows with (n,) labels and ids."""
        if kind == "probs":
            self._all.update(values, labels, ids=ids)
        else:
            self._all.update(logits=values, labels=labels, ids=ids)

    def values(self) -> tuple[MetricValue, ...]:
        """Return every metric with its interval, in the order of `METRICS`."""
        found: dict[str, MetricValue] = {}
        alike = self._alike()
        for names, accumulator in self._accumulators.items():
            why = _no_interval(accumulator) or alike
            made = None if why else metrics.interval(accumulator, **self._bootstrap())
            values = accumulator.compute() if made is None else made.estimate
            bounds = self._bounds(accumulator, len(names))
            for place, (name, value) in enumerate(zip(names, values.reshape(-1).tolist(), strict=True)):
                ends = None if made is None else _ends(made, place)
                found[name] = _metric(name, value, ends, why, bounds[place])
                if name in SHARES and value in (0, 1) and accumulator.count >= LEAST:
                    share = wilson(round(value * accumulator.count), accumulator.count, LEVEL)
                    found[name] = MetricValue(name, value, IntervalEnds(*share))
        return tuple(found[name] for name in METRICS if name in found)

    def minus(self, other: "MetricSuite", *, draws: int | None = None) -> tuple[MetricValue, ...]:
        """Return the core metrics here minus there, on the same rows, in the order of `METRICS`."""
        found: dict[str, MetricValue] = {}
        for names, accumulator in self._accumulators.items():
            if not any(METRICS[name].core for name in names):
                continue
            beside, why = other._accumulators[names], _no_interval(accumulator)
            values = (accumulator.compute() - beside.compute()).reshape(-1).tolist()
            made = None
            if not why:
                made = metrics.paired_difference(accumulator, beside, **self._bootstrap(draws))
            bounds = map(
                sum, zip(self._bounds(accumulator, len(names)), other._bounds(beside, len(names)), strict=True)
            )
            for place, (name, value, bound) in enumerate(zip(names, values, bounds, strict=True)):
                found[name] = replace(_change(name, value, made, why, place), bound=bound)
        return tuple(found[name] for name, metric in METRICS.items() if name in found and metric.core)

    def _alike(self) -> str:
        """Return why draws of the rows are not informative, where all rows have the same outcome."""
        share = float(self.accuracy.compute())
        if 0 < share < 1:
            return ""
        outcome, other = ("right", "wrong") if share else ("wrong", "right")
        return f"No interval: every row is {outcome}, so resampling them cannot estimate how many others are {other}."

    def _bounds(self, accumulator: Accumulator, count: int) -> list[float]:
        """Return the largest error of each value: 0 where it is computed from sums instead of a sketch."""
        for sketch in (self.mass, self.smooth, self.risk):
            if accumulator is sketch:
                return sketch.bound().reshape(-1).tolist()
        return [0.0] * count

    def _bootstrap(self, draws: int | None = None) -> dict[str, Any]:
        # the same draws for every metric and model
        generator = torch.Generator().manual_seed(self.seed)
        return {"n_draws": draws or self.draws, "confidence": CONFIDENCE, "generator": generator}


def _no_interval(accumulator: Accumulator) -> str:
    """Return why there is no interval; an empty text where there is one."""
    if accumulator.count < LEAST:
        return f"No interval: there are fewer than {LEAST} rows."
    return "No interval: with so many classes the bins are not kept by group." if accumulator.groups == 1 else ""


def _metric(name: str, value: float, ends: IntervalEnds | None, why: str, bound: float) -> MetricValue:
    if math.isnan(value):
        return MetricValue(name, None, why=f"{METRICS[name].label} needs right rows and wrong ones.")
    if math.isinf(value):
        return MetricValue(name, value, why="No interval: a label has the probability 0, which makes it infinite.")
    return MetricValue(name, value, ends, why, bound)


def _change(name: str, value: float, made: metrics.Interval | None, why: str, place: int) -> MetricValue:
    if not math.isfinite(value):
        reason = f"{METRICS[name].label} is infinite in one of the two, so the difference has no interval."
        return MetricValue(name, None if math.isnan(value) else value, why=reason)
    if made is None or made.p_value is None:
        return MetricValue(name, value, why=why)
    return MetricValue(name, value, _ends(made, place), p=float(made.p_value.reshape(-1)[place]))


def _ends(made: metrics.Interval, place: int) -> IntervalEnds:
    return IntervalEnds(float(made.low.reshape(-1)[place]), float(made.high.reshape(-1)[place]))
