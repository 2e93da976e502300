"""The results of an evaluation as JSON and CSV."""

import csv
import io

from softtargets.evaluate.results import EvaluationResults
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


def as_json(results: EvaluationResults) -> bytes:
    """Return all numbers of the results as JSON; numbers that are not finite are null."""
    return encoding.as_json(results.to_dict())
