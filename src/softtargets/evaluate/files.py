"""The results of an evaluation as JSON and CSV."""

import csv
import io

from softtargets.evaluate.catalog import OF_TOKENS
from softtargets.evaluate.results import EvaluationResults
from softtargets.evaluate.values import MetricValue
from softtargets.report import encoding

_CLASS_COLUMNS = ("labels", "predicted", "right", "recall", "recall_low", "recall_high", "precision", "confidence")


def classes_csv(results: EvaluationResults) -> bytes:
    """Return one line for each model and class, in the order of the classes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["model", "class", "name", *_CLASS_COLUMNS, "classwise_ece", "significantly_worse"])
    for model in results.models:
        name = encoding.escape_csv_formula(model.name)
        for index, row in enumerate(model.classes):
            low, high = row.recall_interval or (None, None)
            values = (row.labels, row.predicted, row.right, row.recall, low, high, row.precision, row.confidence)
            class_name = encoding.escape_csv_formula(results.class_name(index))
            writer.writerow([name, index, class_name, *values, row.ece, str(row.significantly_worse).lower()])
    return text.getvalue().encode()


def confusion_csv(results: EvaluationResults) -> bytes:
    """Return one line for each model and pair of label and predicted class with at least one row."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["model", "label", "label_name", "predicted", "predicted_name", "rows"])
    for model in results.models:
        name = encoding.escape_csv_formula(model.name)
        for label, row in enumerate(model.confusion.counts if model.confusion else ()):
            for predicted, count in enumerate(row):
                names = [encoding.escape_csv_formula(results.class_name(index)) for index in (label, predicted)]
                if count:
                    writer.writerow([name, label, names[0], predicted, names[1], count])
    return text.getvalue().encode()


def tokens_csv(results: EvaluationResults) -> bytes:
    """Return one line for each model, table and range of positions or frequencies."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = [f"{name}{end}" for name in OF_TOKENS for end in ("", "_low", "_high")]
    after = [f"{name}_after_temperature" for name in OF_TOKENS]
    writer.writerow(["model", "by", "low", "high", "tokens", "sequences", *columns, *after])
    for model in results.models:
        name = encoding.escape_csv_formula(model.name)
        for table in model.tokens.tables if model.tokens else ():
            for one in table.ranges:
                values = [number for metric in OF_TOKENS for number in _with_ends(one.metric(metric))]
                scaled = [found.value if (found := one.after(metric)) else None for metric in OF_TOKENS]
                writer.writerow([name, table.key, one.low, one.high, one.tokens, one.sequences, *values, *scaled])
    return text.getvalue().encode()


def _with_ends(metric: MetricValue) -> tuple[float | None, ...]:
    return metric.value, *(metric.interval or (None, None))


def as_json(results: EvaluationResults) -> bytes:
    """Return all numbers of the results as JSON; numbers that are not finite are null."""
    return encoding.as_json(results.to_dict())
