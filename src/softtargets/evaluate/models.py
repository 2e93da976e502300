"""The results of each model from the two passes."""

from collections.abc import Sequence
from dataclasses import replace

from softtargets.evaluate.accumulate import AccumulatedModel
from softtargets.evaluate.calibrate import FOLDS, CalibratedModel
from softtargets.evaluate.catalog import AFTER_SCALING
from softtargets.evaluate.diagrams import classes_of, histogram_of, reliability_of, risk_curve_of
from softtargets.evaluate.results import EvaluatedModel, FittedTemperature
from softtargets.evaluate.sample import LEAST
from softtargets.evaluate.suite import SHARES
from softtargets.report.encoding import printable

_TOO_FEW = f"Fitting a temperature requires at least {LEAST} rows whose label has a probability above 0."


def evaluate_models(
    models: Sequence[AccumulatedModel], scaled: Sequence[CalibratedModel | None]
) -> tuple[EvaluatedModel, ...]:
    """Compute metrics, intervals and diagrams of every model."""
    labelled = next(model.source.name for model in models if model.source.data.has_labels)
    return tuple(_evaluated(model, after, labelled) for model, after in zip(models, scaled, strict=True))


def _evaluated(model: AccumulatedModel, scaled: CalibratedModel | None, labelled: str) -> EvaluatedModel:
    suite, data = model.suite, model.source.data
    zero_rows = int(suite.counts.total("zero"))
    return EvaluatedModel(
        name=model.source.name,
        files=tuple(printable(str(path)) for path in data.paths),
        kind=model.source.data.kind,
        num_rows=suite.counts.count,
        metrics=suite.values(),
        zero_rows=zero_rows,
        reliability=reliability_of(suite),
        temperature=scaled and _temperature(scaled, model),
        histogram=histogram_of(suite),
        risk_coverage=risk_curve_of(suite),
        classes=classes_of(suite),
        no_temperature="" if scaled else _TOO_FEW,
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
    if zero_rows:
        notes.append(
            f"{zero_rows:,} {'row gives its' if zero_rows == 1 else 'rows give their'} own label the probability 0. "
            "NLL is therefore infinite, and temperatures are fitted on the other rows."
        )
    if not model.source.data.has_labels:
        notes.append(f"Its files contain no labels. Its rows are assumed to be those of {labelled}, in the same order.")
    if not model.sample.is_whole and scaled:
        notes.append(
            f"Temperatures are fitted on a random sample of {len(model.sample):,} of its rows, in {FOLDS} folds."
        )
    return notes
