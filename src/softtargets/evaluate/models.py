"""The results of each model from the two passes."""

from collections.abc import Sequence
from dataclasses import replace

from softtargets.evaluate.accumulate import AccumulatedModel
from softtargets.evaluate.calibrate import FOLDS, CalibratedModel
from softtargets.evaluate.catalog import AFTER_SCALING
from softtargets.evaluate.confusion import confusion_of
from softtargets.evaluate.counts import FLOOR
from softtargets.evaluate.diagrams import classes_of, histogram_of, reliability_of, risk_curve_of
from softtargets.evaluate.results import EvaluatedModel, FittedTemperature
from softtargets.evaluate.sample import LEAST
from softtargets.evaluate.suite import SHARES
from softtargets.evaluate.tokens.evaluated import evaluate_tokens, token_notes
from softtargets.evaluate.tokens.labels import LabelCounts
from softtargets.evaluate.votes.evaluated import evaluate_votes
from softtargets.report.encoding import printable

_TOO_FEW = f"Fitting a temperature requires at least {LEAST} {{}} whose label has a probability above 0."


def evaluate_models(
    models: Sequence[AccumulatedModel],
    scaled: Sequence[CalibratedModel | None],
    labels: LabelCounts | None = None,
    counted_in: str = "",
) -> tuple[EvaluatedModel, ...]:
    """Compute metrics, intervals and diagrams of every model.

    Args:
        models: after the first pass.
        scaled: after the second pass.
        labels: the labels of sequences; None for single examples.
        counted_in: where the frequencies of tokens are from, in words.
    """
    labelled = next(model.source.name for model in models if model.source.data.has_labels)
    found = []
    for model, after in zip(models, scaled, strict=True):
        one = _evaluated(model, after, labelled)
        if labels is not None:
            tokens = evaluate_tokens(model, after, labels, counted_in)
            one = replace(one, tokens=tokens, notes=(*token_notes(model, labels), *one.notes))
        if model.votes is not None:
            one = replace(one, votes=evaluate_votes(model, after))
        found.append(one)
    return tuple(found)


def _evaluated(model: AccumulatedModel, scaled: CalibratedModel | None, labelled: str) -> EvaluatedModel:
    suite, data = model.suite, model.source.data
    zero_rows = int(suite.counts.total("zero"))
    return EvaluatedModel(
        name=model.source.name,
        files=tuple(printable(str(path)) for path in data.paths),
        kind=model.source.data.kind,
        num_rows=suite.counts.count,
        metrics=tuple(one for one in suite.values() if zero_rows or one.name != "nll_floored"),
        zero_rows=zero_rows,
        reliability=reliability_of(suite),
        temperature=scaled and _temperature(scaled, model),
        histogram=histogram_of(suite),
        risk_coverage=risk_curve_of(suite),
        classes=classes_of(suite),
        confusion=confusion_of(suite),
        no_temperature="" if scaled else _TOO_FEW.format("sequences with tokens" if suite.tokens else "rows"),
        notes=(*_notes(model, scaled, zero_rows, labelled), *data.notes),
    )


def _temperature(scaled: CalibratedModel, model: AccumulatedModel) -> FittedTemperature:
    values = tuple(metric for metric in scaled.suite.values() if metric.name in AFTER_SCALING)
    changes = tuple(
        replace(change, bound=0.0, p=None)
        for change in scaled.suite.minus(model.suite)
        # a temperature preserves the order of the classes in each row and cannot change these
        if change.name not in SHARES
    )
    fitted = scaled.temperatures
    return FittedTemperature(fitted.temperatures, fitted.converged, values, changes, reliability_of(scaled.suite))


def _notes(model: AccumulatedModel, scaled: CalibratedModel | None, zero_rows: int, labelled: str) -> list[str]:
    notes: list[str] = []
    noun = "token" if model.suite.tokens else "row"
    if zero_rows:
        rows = f"{noun} gives its" if zero_rows == 1 else f"{noun}s give their"
        notes.append(
            f"{zero_rows:,} {rows} own label the probability 0. "
            f"NLL is therefore infinite, and temperatures are fitted on the other {noun}s. Random forests and nearest "
            f"neighbours give such probabilities. The NLL with probabilities of at least {FLOOR:g} is listed too."
        )
    if not model.source.data.has_labels:
        notes.append(f"Its files contain no labels. Its rows are assumed to be those of {labelled}, in the same order.")
    if not model.sample.is_whole and scaled:
        notes.append(
            f"Temperatures are fitted on a random sample of {len(model.sample):,} of its {noun}s, in {FOLDS} folds."
        )
    return notes
