"""Paired differences between the main model and the others, with p-values adjusted over all of them."""

import math
from collections.abc import Sequence

from softtargets.evaluate.accumulate import AccumulatedModel
from softtargets.evaluate.catalog import METRICS
from softtargets.evaluate.suite import LEVEL
from softtargets.evaluate.values import MetricDifference, MetricValue
from softtargets.metrics.statistics import holm_adjusted

# Number of p-values for which the draws of one interval suffice: the smallest p-value of 1,000 draws is 0.002, and it
# must stay well below 0.05 after adjustment for this many tests.
_PER_DRAWS = 12
_WITHIN = "Not called significant: the metrics are computed from sketches whose error can be this large."


def compare_models(models: Sequence[AccumulatedModel]) -> tuple[MetricDifference, ...]:
    """Return the core metrics of the first model minus those of each other model."""
    main, *others = models
    count = len(others) * sum(metric.core for metric in METRICS.values())
    draws = main.suite.draws * math.ceil(count / _PER_DRAWS)
    found = [(other.source.name, change) for other in others for change in main.suite.minus(other.suite, draws=draws)]
    tested = {index: change.p for index, (_, change) in enumerate(found) if change.p is not None}
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
            why=change.why or (_WITHIN if _within(change) else ""),
        )
        for index, (name, change) in enumerate(found)
    )


def _within(change: MetricValue) -> bool:
    """Whether a difference other than 0 is at most the error of the sketches."""
    return bool(change.value) and abs(change.value or 0.0) <= change.bound
