"""The results of the tokens of a model from the two passes."""

from softtargets.evaluate.accumulate import AccumulatedModel
from softtargets.evaluate.calibrate import CalibratedModel, PositionTemperatures
from softtargets.evaluate.catalog import OF_TOKENS
from softtargets.evaluate.suite import LEVEL, MetricSuite
from softtargets.evaluate.tokens.labels import LabelCounts
from softtargets.evaluate.tokens.ranges import Key, TokenPartition, TokenSuites
from softtargets.evaluate.tokens.results import (
    TITLES,
    RangeTemperature,
    TemperatureByPosition,
    TokenEvaluation,
    TokenRange,
    TokenTable,
)
from softtargets.evaluate.values import MetricValue

# Labels are called shifted if predictions agree with the next label by this much more often than with their own.
_SHIFTED = 0.1


def evaluate_tokens(
    model: AccumulatedModel, scaled: CalibratedModel | None, labels: LabelCounts, counted_in: str
) -> TokenEvaluation | None:
    """Compute the metrics of tokens by position and frequency; None for single examples."""
    if model.tokens is None:
        return None
    partitions: dict[Key, TokenPartition] = {one.key: one for one in model.tokens.bins.partitions}
    after = scaled and scaled.tokens
    tables = tuple(TokenTable(key, _ranges(partitions[key], model.tokens, after)) for key in TITLES)
    return TokenEvaluation(
        sequences=labels.sequences - labels.empty,
        positions=model.tokens.bins.positions,
        ignored=labels.tokens - labels.evaluated,
        empty=labels.empty,
        counted_in=counted_in,
        tables=tables,
        by_position=_by_position(scaled.by_position, scaled.suite) if scaled and scaled.by_position else None,
    )


def token_notes(model: AccumulatedModel, labels: LabelCounts | None) -> list[str]:
    """Return notes on sequences without tokens, and on labels that seem to be shifted."""
    tokens = model.tokens
    if tokens is None or labels is None:
        return []
    notes = []
    if labels.empty:
        verb = "sequence has no token" if labels.empty == 1 else "sequences have no token"
        notes.append(
            f"{labels.empty:,} {verb} to evaluate and are left out, the first is sequence {labels.first_empty}."
        )
    if tokens.pairs and tokens.following - tokens.own > _SHIFTED * tokens.pairs:
        own, following = (100 * count / tokens.pairs for count in (tokens.own, tokens.following))
        notes.append(
            f"The predictions agree with the label of the next position more often ({following:.0f} %) than with their "
            f"own ({own:.0f} %). If the model predicts the next token, pass logits[:, :-1] with labels[:, 1:]."
        )
    return notes


def _ranges(partition: TokenPartition, before: TokenSuites, after: TokenSuites | None) -> tuple[TokenRange, ...]:
    found = list(before.of(partition))
    scaled = {} if after is None else dict(after.of(partition))
    confidence = 1 - LEVEL / len(found)
    return tuple(
        TokenRange(
            low,
            high,
            tokens=suite.rows,
            sequences=suite.units,
            metrics=_values(suite),
            scaled=_values(scaled[low, high]) if (low, high) in scaled else (),
            gap=suite.interval("overconfidence", confidence),
        )
        for (low, high), suite in found
    )


def _values(suite: MetricSuite) -> tuple[MetricValue, ...]:
    return tuple(metric for metric in suite.values() if metric.name in OF_TOKENS)


def _by_position(found: PositionTemperatures, one: MetricSuite) -> TemperatureByPosition:
    rows = zip(found.partition.ranges, found.temperatures.tolist(), strict=True)
    return TemperatureByPosition(
        tuple(RangeTemperature(low, high, tuple(temperatures)) for (low, high), temperatures in rows),
        found.suite.values(),
        found.suite.minus(one),
    )
