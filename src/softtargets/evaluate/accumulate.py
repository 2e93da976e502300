"""The first pass over the rows: the metrics of every model, and the rows on which temperatures are fitted."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from softtargets.evaluate.inputs import OnRows, PredictionSource, read_blocks
from softtargets.evaluate.sample import RowSample
from softtargets.evaluate.suite import MetricSuite


@dataclass(frozen=True, eq=False)
class AccumulatedModel:
    """One model after the first pass.

    Args:
        source: its predictions.
        suite: its metrics before temperature scaling.
        sample: the rows on which temperatures are fitted.
    """

    source: PredictionSource
    suite: MetricSuite
    sample: RowSample


def accumulate(
    sources: Sequence[PredictionSource], *, seed: int, draws: int, on_rows: OnRows
) -> tuple[AccumulatedModel, ...]:
    """Read all rows once and accumulate the metrics.

    Args:
        sources: predictions of all models, with the same classes and rows.
        seed: seed of the groups, the draws and the samples.
        draws: number of bootstrap draws for each interval.
        on_rows: called with the progress.

    Raises:
        InputError: a bad row, or models that differ in rows or labels.
    """
    num_classes = sources[0].data.num_classes
    models = tuple(
        AccumulatedModel(
            source, MetricSuite(num_classes, seed, draws=draws), RowSample(num_classes, source.data.kind, seed)
        )
        for source in sources
    )
    for block in read_blocks(sources, "reading", on_rows):
        ids = torch.arange(block.first_row, block.first_row + len(block.labels))
        for values, model in zip(block.values, models, strict=True):
            model.suite.update(values, model.source.data.kind, block.labels, ids)
            model.sample.add(values, block.labels, ids)
    return models
