"""Results of an audit as files for other programs."""

import csv
import io
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow.csv import WriteOptions, write_csv
from pyarrow.parquet import write_table

from softtargets.audit.results import AuditResults
from softtargets.report import encoding


def suspects_csv(results: AuditResults) -> bytes:
    """Return one line for each suspect, most suspect first."""
    stream = io.BytesIO()
    names = tuple(map(encoding.escape_csv_formula, results.audited.class_names))
    write_csv(_table(results, names), stream, WriteOptions(quoting_style="needed"))
    return stream.getvalue()


def suspects_parquet(results: AuditResults) -> bytes:
    """Return the content of the CSV file as Parquet."""
    stream = io.BytesIO()
    write_table(_table(results, results.audited.class_names), stream)
    return stream.getvalue()


def _table(results: AuditResults, class_names: tuple[str, ...]) -> pa.Table:
    suspects = results.ranking.suspects
    names = pa.array(class_names, pa.string())

    def called(labels) -> pa.Array:
        return names.take(pa.array(labels.numpy()))

    columns: dict[str, Any] = {
        "rank": np.arange(1, len(suspects) + 1),
        "row": suspects.rows.numpy(),
        "given": suspects.given.numpy(),
        "given_name": called(suspects.given),
        "suggested": suspects.suggested.numpy(),
        "suggested_name": called(suspects.suggested),
        "probability_wrong": suspects.wrong.numpy(),
        **{name: values.numpy() for name, values in suspects.scores.items()},
    }
    if suspects.reference is not None:
        columns |= {"reference": suspects.reference.numpy(), "reference_name": called(suspects.reference)}
    return pa.table(columns)


def transition_csv(results: AuditResults) -> bytes:
    """Return the chosen estimate: one row for each true class, one column for each observed label."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = tuple(map(encoding.escape_csv_formula, results.audited.class_names))
    writer.writerow(["clean", *names])
    matrix = results.noise.estimate.transition.to_dense().tolist()
    writer.writerows([name, *row] for name, row in zip(names, matrix, strict=True))
    return text.getvalue().encode()


def as_json(results: AuditResults) -> bytes:
    """Return the content of the page as JSON, without the suspects, which have their own files."""
    return encoding.as_json(results.to_dict())
