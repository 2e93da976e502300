"""Paired differences between the main model and the others, with p-values adjusted over all of them."""

import math
from collections.abc import Sequence

from softtargets.evaluate.accumulate import AccumulatedModel
from softtargets.evaluate.calibrate import CalibratedModel
from softtargets.evaluate.catalog import METRICS
from softtargets.evaluate.suite import LEVEL, SHARES
from softtargets.evaluate.values import MetricDifference, MetricValue
from softtargets.metrics.statistics import holm_adjusted

# Number of p-values for which the draws of one interval suffice: the smallest p-value of 1,000 draws is 0.002, and it
# must stay below 0.05 after adjustment for this many tests, those of two models.
_PER_DRAWS = 18
_WITHIN = "Not called significant: the metrics are computed from sketches whose error can be this large."


def compare_models(
    models: Sequence[AccumulatedModel], scaled: Sequence[CalibratedModel | None]
) -> tuple[MetricDifference, ...]:
    """Return the core metrics of the first model minus those of each other model, before and after scaling.

    Args:
        models: after the first pass.
        scaled: after temperature scaling. Metrics that a temperature cannot change are not compared again.
    """
    names = [model.source.name for model in models]
    before, after = [model.suite for model in models], [None if one is None else one.suite for one in scaled]
    count = 2 * (len(models) - 1) * sum(metric.core for metric in METRICS.values())
    draws = before[0].draws * math.ceil(count / _PER_DRAWS)
    # the smallest p-value of the bootstrap, with a margin for rounding
    floor = 2 / (draws + 1) * (1 + 1e-9)
    found: list[tuple[str, MetricValue, bool]] = []
    for suites, is_scaled in ((before, False), (after, True)):
        main, *others = suites
        for name, other in zip(names[1:], others, strict=True):
            if main is not None and other is not None:
                changes = main.minus(other, draws=draws)
                found += [(name, one, is_scaled) for one in changes if not (is_scaled and one.name in SHARES)]
    tested = {index: change.p for index, (_, change, _) in enumerate(found) if change.p is not None}
    adjusted = dict(zip(tested, holm_adjusted(list(tested.values())), strict=True))
    return tuple(
        MetricDifference(
            metric=change.name,
            against=name,
            value=change.value,
            interval=change.interval,
            p=change.p,
            adjusted=adjusted.get(index),
            significant=adjusted.get(index, 1.0) < LEVEL and not _within(change),
            at_floor=change.p is not None and change.p <= floor,
            scaled=is_scaled,
            why=change.why or (_WITHIN if _within(change) else ""),
        )
        for index, (name, change, is_scaled) in enumerate(found)
    )


def _within(change: MetricValue) -> bool:
    """Whether a difference other than 0 is at most the error of the sketches."""
    return bool(change.value) and abs(change.value or 0.0) <= change.bound
