"""The results of an evaluation as JSON and CSV."""

import csv
import io
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from softtargets.evaluate.results import (
    EvaluatedModel,
    EvaluationResults,
    FittedTemperature,
    IntervalEnds,
    MetricDifference,
    MetricValue,
)
from softtargets.report import encoding

SCHEMA_VERSION = 1
_CLASS_COLUMNS = ("labels", "predicted", "right", "recall", "recall_low", "recall_high", "precision", "confidence")


def classes_csv(results: EvaluationResults) -> bytes:
    """Return one line per model and class, in the order of the classes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["model", "class", "name", *_CLASS_COLUMNS, "classwise_ece", "surely_below"])
    for model in results.models:
        for index, row in enumerate(model.classes):
            low, high = row.recall_interval or (None, None)
            values = (row.labels, row.predicted, row.right, row.recall, low, high, row.precision, row.confidence)
            name = encoding.escape_csv_formula(results.class_name(index))
            writer.writerow(
                [encoding.escape_csv_formula(model.name), index, name, *values, row.ece, str(row.surely_below).lower()]
            )
    return text.getvalue().encode()


def as_json(results: EvaluationResults) -> bytes:
    """Return all numbers of the results as JSON; numbers that are not finite are null."""
    data = {
        "schema_version": SCHEMA_VERSION,
        "command": results.command,
        "versions": results.versions,
        "confidence": results.confidence,
        "bins": results.bins,
        "num_classes": results.num_classes,
        "class_names": list(results.class_names),
        "models": [_model(model) for model in results.models],
        "differences": [_difference(difference) for difference in results.differences],
        "intervals": list(results.intervals),
        "classes_rule": results.classes_rule,
        "notes": list(results.notes),
    }
    return encoding.as_json(data)


def _model(model: EvaluatedModel) -> dict[str, Any]:
    return {
        "name": model.name,
        "files": list(model.files),
        "kind": model.kind,
        "rows": model.num_rows,
        "rows_with_probability_zero": model.zero_rows,
        "metrics": _metrics(model.metrics),
        "reliability": asdict(model.reliability),
        "temperature": model.temperature and _temperature(model.temperature),
        "no_temperature": model.no_temperature,
        "histogram": asdict(model.histogram),
        "risk_coverage": asdict(model.risk_coverage),
        "classes": [{**asdict(row), "precision": row.precision} for row in model.classes],
        "notes": list(model.notes),
    }


def _temperature(scaled: FittedTemperature) -> dict[str, Any]:
    return {
        "temperatures": list(scaled.temperatures),
        "converged": list(scaled.converged),
        "metrics": _metrics(scaled.metrics),
        "changes": _metrics(scaled.changes),
        "reliability": asdict(scaled.reliability),
    }


def _metrics(metrics: Iterable[MetricValue]) -> dict[str, Any]:
    return {
        metric.name: {
            "value": metric.value,
            "interval": _ends(metric.interval),
            "why": metric.why,
            "bound": metric.bound,
            "better": metric.definition.better,
        }
        for metric in metrics
    }


def _difference(difference: MetricDifference) -> dict[str, Any]:
    return {**asdict(difference), "interval": _ends(difference.interval)}


def _ends(interval: IntervalEnds | None) -> list[float] | None:
    return None if interval is None else list(interval)
