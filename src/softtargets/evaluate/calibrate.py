"""The second pass over the rows: temperatures, each evaluated on rows on which it was not fitted."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets._memory import release_freed
from softtargets._numerics import at_least_float32
from softtargets.calibration import TemperatureScaling
from softtargets.evaluate.accumulate import AccumulatedModel
from softtargets.evaluate.catalog import AFTER_SCALING
from softtargets.evaluate.inputs import OnRows, read_blocks, units_of
from softtargets.evaluate.sample import LEAST, RowSample
from softtargets.evaluate.suite import MetricSuite
from softtargets.evaluate.tokens.ranges import TokenBins, TokenPartition, TokenSuites
from softtargets.evaluate.votes.suite import VoteSuite
from softtargets.metrics.arguments import Kind
from softtargets.metrics.groups import group_of

FOLDS = 5
# Smallest number of tokens in a range of positions for fitting a temperature of its own.
LEAST_OF_RANGE = 100


@dataclass(frozen=True)
class FoldTemperatures:
    """A temperature for each fold, fitted on the other folds.

    Args:
        kind: kind of the values that are scaled.
        seed: seed of the hash that assigns rows, or sequences, to folds.
        positions: L if the rows are the tokens of sequences, else None. All tokens of a sequence are in one fold.
        temperatures: one for each fold.
        converged: for each fold, whether the search converged.
    """

    kind: Kind
    seed: int
    positions: int | None
    temperatures: tuple[float, ...]
    converged: tuple[bool, ...]

    def fold(self, ids: Tensor) -> Tensor:
        """Return the fold of each row, (n,) int64."""
        return fold_of(units_of(ids, self.positions), self.seed)

    def logits(self, values: Tensor, ids: Tensor) -> Tensor:
        """Return the (n, K) logits, each row divided by the temperature that was fitted without its fold."""
        logits = as_logits(values, self.kind)
        return logits / torch.tensor(self.temperatures, dtype=logits.dtype)[self.fold(ids)][:, None]


@dataclass(frozen=True, eq=False)
class PositionTemperatures:
    """A temperature for each range of positions and each fold.

    Args:
        whole: the temperatures of all positions.
        partition: the ranges of positions.
        temperatures: (B, folds) float64. A range with too few tokens in the sample has the temperatures of `whole`.
        suite: some metrics after this scaling.
    """

    whole: FoldTemperatures
    partition: TokenPartition
    temperatures: Tensor
    suite: MetricSuite

    def update(self, values: Tensor, labels: Tensor, ids: Tensor) -> None:
        """Scale (n, K) predictions of tokens, and add them to the metrics."""
        assert self.whole.positions is not None
        logits = as_logits(values, self.whole.kind)
        place = self.partition.lookup[ids % self.whole.positions]
        scale = self.temperatures[place, self.whole.fold(ids)].to(logits.dtype)
        self.suite.update(logits / scale[:, None], "logits", labels, units_of(ids, self.whole.positions))


@dataclass(frozen=True, eq=False)
class CalibratedVotes:
    """Scores of one model against votes after temperature scaling.

    Args:
        temperatures: temperatures fitted on the votes.
        suite: scores after these.
        by_majority: scores after the temperatures that are fitted on the most frequent class of each row.
    """

    temperatures: FoldTemperatures
    suite: VoteSuite
    by_majority: VoteSuite


@dataclass(frozen=True, eq=False)
class CalibratedModel:
    """One model after the second pass.

    Args:
        temperatures: temperatures of the folds.
        suite: the core metrics after temperature scaling.
        tokens: the metrics by position and frequency; None for single examples.
        by_position: the effect of a temperature for each range of positions; None for single examples, and if no range
            has enough tokens.
        votes: the scores against votes; None for hard labels.
    """

    temperatures: FoldTemperatures
    suite: MetricSuite
    tokens: TokenSuites | None = None
    by_position: PositionTemperatures | None = None
    votes: CalibratedVotes | None = None

    def update(self, values: Tensor, labels: Tensor, ids: Tensor, soft: Tensor | None = None) -> None:
        """Scale (n, K) predictions, and add them to the metrics."""
        scaled = self.temperatures.logits(values, ids)
        self.suite.update(scaled, "logits", labels, units_of(ids, self.temperatures.positions))
        if self.tokens is not None:
            self.tokens.update(scaled, "logits", labels, ids)
        if self.by_position is not None:
            self.by_position.update(values, labels, ids)
        if self.votes is not None and soft is not None:
            self.votes.suite.update(self.votes.temperatures.logits(values, ids), "logits", soft, ids)
            self.votes.by_majority.update(scaled, "logits", soft, ids)


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
    scaled = tuple(_fitted(model, seed, draws) for model in models)
    release_freed()
    if not any(scaled):
        return scaled
    sources = [model.source for model in models]
    # tokens that are not evaluated are read too; the number of rows of a .csv file is known only now
    total = None if sources[0].data.positions else models[0].suite.counts.count
    for block in read_blocks(sources, "evaluating temperatures", on_rows, total):
        for values, one in zip(block.values, scaled, strict=True):
            if one is not None:
                one.update(values, block.labels, block.ids, block.soft)
    return scaled


def _fitted(model: AccumulatedModel, seed: int, draws: int) -> CalibratedModel | None:
    """Fit the temperatures of a model, and prepare the metrics after scaling; None if there are too few rows."""
    num_classes, tokens = model.source.data.num_classes, model.tokens
    fitted = None if model.suite.units < LEAST else fit_temperatures(model.sample, model.source.data.positions)
    if fitted is None:
        return None
    suite = MetricSuite(num_classes, seed, draws=draws, tokens=tokens is not None, names=AFTER_SCALING)
    if tokens is None:
        return CalibratedModel(fitted, suite, votes=_fitted_on_votes(model, seed, draws))
    by_position = fit_by_position(model.sample, fitted, tokens.bins, draws=draws)
    return CalibratedModel(fitted, suite, TokenSuites(tokens.bins, seed, draws=draws), by_position)


def _fitted_on_votes(model: AccumulatedModel, seed: int, draws: int) -> CalibratedVotes | None:
    fitted = None if model.votes is None else fit_temperatures(model.sample, None, soft=True)
    return fitted and CalibratedVotes(fitted, VoteSuite(seed, draws=draws), VoteSuite(seed, draws=draws))


def fit_temperatures(sample: RowSample, positions: int | None, *, soft: bool = False) -> FoldTemperatures | None:
    """Fit a temperature for each fold; None if the sample is too small.

    Args:
        sample: the rows to fit on.
        positions: L if the rows are the tokens of sequences, else None.
        soft: whether to fit on the distributions of the labels, which the sample must have.
    """
    if len(sample) < LEAST:
        return None
    values, labels, ids = sample.rows()
    logits, folds = as_logits(values, sample.kind), fold_of(units_of(ids, positions), sample.seed)
    if len(folds.unique()) < 2:
        return None
    given = sample.soft() if soft else labels
    fitted = [TemperatureScaling().fit(logits, given, mask=folds != fold) for fold in range(FOLDS)]
    return FoldTemperatures(
        sample.kind,
        sample.seed,
        positions,
        tuple(float(one.temperature) for one in fitted),
        tuple(bool(one.converged) for one in fitted),
    )


def fit_by_position(
    sample: RowSample, whole: FoldTemperatures, bins: TokenBins, *, draws: int
) -> PositionTemperatures | None:
    """Fit a temperature for each range of positions and each fold; None if fewer than two ranges have enough tokens.

    Args:
        sample: the tokens to fit on.
        whole: the temperatures of all positions.
        bins: the ranges of positions.
        draws: number of bootstrap draws for each interval.
    """
    (partition,) = (one for one in bins.partitions if one.key == "position")
    values, labels, ids = sample.rows()
    logits, folds = as_logits(values, sample.kind), whole.fold(ids)
    place = partition.lookup[ids % bins.positions]
    temperatures = torch.tensor([whole.temperatures] * len(partition.ranges), dtype=torch.float64)
    own = 0
    for index in range(len(partition.ranges)):
        masks = [(place == index) & (folds != fold) for fold in range(FOLDS)]
        if min(int(mask.sum()) for mask in masks) < LEAST_OF_RANGE:
            continue
        own += 1
        for fold, mask in enumerate(masks):
            temperatures[index, fold] = TemperatureScaling().fit(logits, labels, mask=mask).temperature
    names = ("accuracy", "nll", "perplexity", "ece")
    suite = MetricSuite(bins.num_classes, sample.seed, draws=draws, tokens=True, names=names)
    return PositionTemperatures(whole, partition, temperatures, suite) if own > 1 else None


def as_logits(values: Tensor, kind: Kind) -> Tensor:
    """Return (n, K) logits in at least float32; for probabilities their logarithms (-inf for 0)."""
    values = at_least_float32(values)
    return values.log() if kind == "probs" else values


def fold_of(ids: Tensor, seed: int) -> Tensor:
    """Return the fold of each row, (n,) int64, by a hash that differs from that of the sample and of the groups."""
    return group_of(ids, FOLDS, seed + 1)
