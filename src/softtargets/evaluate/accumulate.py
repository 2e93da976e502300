"""The first pass over the rows: the metrics of every model, and the rows on which temperatures are fitted."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from softtargets.evaluate.inputs import OnRows, PredictionSource, read_blocks, units_of
from softtargets.evaluate.sample import RowSample
from softtargets.evaluate.suite import MetricSuite
from softtargets.evaluate.tokens.ranges import TokenBins, TokenSuites
from softtargets.evaluate.votes.suite import RowRecorder, VoteSuite
from softtargets.metrics.arguments import Kind


@dataclass(frozen=True, eq=False)
class AccumulatedModel:
    """One model after the first pass.

    Args:
        source: its predictions.
        suite: its metrics before temperature scaling.
        sample: the rows on which temperatures are fitted.
        tokens: the metrics by position and frequency; None for single examples.
        votes: the scores against votes; None for hard labels.
        recorder: what is listed for each row of all models with votes; None for hard labels.
    """

    source: PredictionSource
    suite: MetricSuite
    sample: RowSample
    tokens: TokenSuites | None = None
    votes: VoteSuite | None = None
    recorder: RowRecorder | None = None


def accumulate(
    sources: Sequence[PredictionSource], bins: TokenBins | None, *, seed: int, draws: int, on_rows: OnRows
) -> tuple[AccumulatedModel, ...]:
    """Read all rows once and accumulate the metrics.

    Args:
        sources: predictions of all models, with the same classes and rows.
        bins: positions and frequencies of tokens; None for single examples.
        seed: seed of the groups, the draws and the samples.
        draws: number of bootstrap draws for each interval.
        on_rows: called with the progress.

    Raises:
        InputError: a bad row, or models that differ in rows or labels.
    """
    num_classes, positions = sources[0].data.num_classes, sources[0].data.positions
    models = tuple(
        AccumulatedModel(
            source,
            MetricSuite(num_classes, seed, draws=draws, tokens=bins is not None),
            RowSample(num_classes, source.data.kind, seed),
            None if bins is None else TokenSuites(bins, seed, draws=draws),
        )
        for source in sources
    )
    kinds: list[Kind] = [source.data.kind for source in sources]
    recorder: RowRecorder | None = None
    for block in read_blocks(sources, "reading", on_rows):
        units = units_of(block.ids, positions)
        if block.soft is not None:
            if recorder is None:
                recorder = RowRecorder()
                votes = (VoteSuite(seed, draws=draws) for _ in models)
                models = tuple(
                    replace(one, votes=suite, recorder=recorder) for one, suite in zip(models, votes, strict=True)
                )
            recorder.add(block.values, kinds, block.soft, block.ids)
        for values, model in zip(block.values, models, strict=True):
            kind = model.source.data.kind
            model.suite.update(values, kind, block.labels, units)
            model.sample.add(values, block.labels, block.ids, block.soft)
            if model.votes is not None and block.soft is not None:
                model.votes.update(values, kind, block.soft, units)
            if model.tokens is not None:
                model.tokens.update(values, kind, block.labels, block.ids)
    return models
