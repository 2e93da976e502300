"""The second pass over the rows: temperatures, each evaluated on rows on which it was not fitted."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets._memory import release_freed
from softtargets._numerics import at_least_float32
from softtargets.calibration import TemperatureScaling
from softtargets.evaluate.accumulate import AccumulatedModel
from softtargets.evaluate.inputs import OnRows, read_blocks
from softtargets.evaluate.sample import LEAST, RowSample
from softtargets.evaluate.suite import MetricSuite
from softtargets.metrics.arguments import Kind
from softtargets.metrics.groups import group_of

FOLDS = 5


@dataclass(frozen=True)
class FoldTemperatures:
    """A temperature for each fold, fitted on the other folds.

    Args:
        kind: kind of the values that are scaled.
        seed: seed of the hash that assigns rows to folds.
        temperatures: one for each fold.
        converged: for each fold, whether the search converged.
    """

    kind: Kind
    seed: int
    temperatures: tuple[float, ...]
    converged: tuple[bool, ...]

    def logits(self, values: Tensor, ids: Tensor) -> Tensor:
        """Return the (n, K) logits, each row divided by the temperature that was fitted without its fold."""
        logits = as_logits(values, self.kind)
        of_row = torch.tensor(self.temperatures, dtype=logits.dtype)[fold_of(ids, self.seed)]
        return logits / of_row[:, None]


@dataclass(frozen=True, eq=False)
class CalibratedModel:
    """One model after the second pass.

    Args:
        temperatures: temperatures of the folds.
        suite: the core metrics after temperature scaling.
    """

    temperatures: FoldTemperatures
    suite: MetricSuite


def calibrate(
    models: Sequence[AccumulatedModel], *, seed: int, draws: int, on_rows: OnRows
) -> tuple[CalibratedModel | None, ...]:
    """Fit temperatures, read all rows again and compute the metrics after scaling.

    Args:
        models: the models after the first pass.
        seed: seed of the groups and the draws, as in the first pass.
        draws: number of bootstrap draws for each interval.
        on_rows: called with the progress.

    Returns:
        One result for each model; None for a model with too few rows for a temperature.
    """
    on_rows("fitting temperatures", 0, None)
    num_classes = models[0].source.data.num_classes
    fitted = [fit_temperatures(model.sample) for model in models]
    release_freed()
    scaled = tuple(
        one and CalibratedModel(one, MetricSuite(num_classes, seed, draws=draws, whole=False)) for one in fitted
    )
    if not any(scaled):
        return scaled
    sources = [model.source for model in models]
    for block in read_blocks(sources, "evaluating temperatures", on_rows, models[0].suite.counts.count):
        ids = torch.arange(block.first_row, block.first_row + len(block.labels))
        for values, one in zip(block.values, scaled, strict=True):
            if one is not None:
                one.suite.update(one.temperatures.logits(values, ids), "logits", block.labels, ids)
    return scaled


def fit_temperatures(sample: RowSample) -> FoldTemperatures | None:
    """Fit a temperature for each fold; None if the sample is too small."""
    if len(sample) < LEAST:
        return None
    values, labels, ids = sample.rows()
    logits, folds = as_logits(values, sample.kind), fold_of(ids, sample.seed)
    fitted = [TemperatureScaling().fit(logits, labels, mask=folds != fold) for fold in range(FOLDS)]
    return FoldTemperatures(
        sample.kind,
        sample.seed,
        tuple(float(one.temperature) for one in fitted),
        tuple(bool(one.converged) for one in fitted),
    )


def as_logits(values: Tensor, kind: Kind) -> Tensor:
    """Return (n, K) logits in at least float32; for probabilities their logarithms (-inf for 0)."""
    values = at_least_float32(values)
    return values.log() if kind == "probs" else values


def fold_of(ids: Tensor, seed: int) -> Tensor:
    """Return the fold of each row, (n,) int64, by a hash that differs from that of the sample and of the groups."""
    return group_of(ids, FOLDS, seed + 1)
