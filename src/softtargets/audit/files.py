"""Results of an audit as files for other programs."""

import csv
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow.csv import WriteOptions, write_csv
from pyarrow.parquet import write_table
from torch import Tensor

from softtargets.audit.results import AuditResults
from softtargets.audit.rows import numbers, texts
from softtargets.report import encoding


def suspects_csv(results: AuditResults) -> bytes:
    """Return one line for each suspect, most suspect first."""
    stream = io.BytesIO()
    write_csv(_table(results, encoding.escape_csv_formula), stream, WriteOptions(quoting_style="needed"))
    return stream.getvalue()


def suspects_parquet(results: AuditResults) -> bytes:
    """Return the content of the CSV file as Parquet."""
    stream = io.BytesIO()
    write_table(_table(results, str), stream)
    return stream.getvalue()


def _table(results: AuditResults, write: Callable[[str], str]) -> pa.Table:
    """Return the suspects, with all texts as `write` returns them."""
    suspects, rows = results.ranking.suspects, results.rows
    names = texts(tuple(map(write, results.audited.class_names)))

    def called(labels: Tensor) -> pa.Array:
        return names.take(numbers(labels.numpy()))

    examples = None if rows is None else rows.examples
    shown = {} if examples is None or examples.numeric else examples.columns(suspects.rows)

    columns: dict[str, Any] = {
        "rank": np.arange(1, len(suspects) + 1),
        "row": suspects.rows.numpy(),
        **{name: texts(tuple(map(write, one))) for name, one in shown.items()},
        "given": suspects.given.numpy(),
        "given_name": called(suspects.given),
        "suggested": suspects.suggested.numpy(),
        "suggested_name": called(suspects.suggested),
        "probability_wrong": suspects.wrong.numpy(),
        **{name: values.numpy() for name, values in suspects.scores.items()},
    }
    if suspects.reference is not None:
        columns |= {"reference": suspects.reference.numpy(), "reference_name": called(suspects.reference)}
    return pa.table({name: numbers(one) if isinstance(one, np.ndarray) else one for name, one in columns.items()})


def transition_csv(results: AuditResults) -> bytes:
    """Return the chosen estimate: one row for each true class, one column for each observed label."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = tuple(map(encoding.escape_csv_formula, results.audited.class_names))
    writer.writerow(["clean", *names])
    matrix = results.noise.estimate.transition.to_dense().tolist()
    writer.writerows([name, *row] for name, row in zip(names, matrix, strict=True))
    return text.getvalue().encode()


def annotators_csv(results: AuditResults) -> bytes:
    """Return the confusion of every annotator: one line for each annotator and true class."""
    audited = results.annotators
    assert audited is not None
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = tuple(map(encoding.escape_csv_formula, results.audited.class_names))
    writer.writerow(["annotator", "error_rate", "error_rate_low", "error_rate_high", "labels", "clean", *names])
    for one in audited.annotators:
        rate = one.error_rate
        own = [encoding.escape_csv_formula(one.name), rate.estimate, rate.low, rate.high, one.labels]
        writer.writerows([*own, name, *row] for name, row in zip(names, one.confusion, strict=True))
    return text.getvalue().encode()


def consensus_parquet(results: AuditResults) -> bytes:
    """Return the probability of every class given all labels of an item, one column for each class.

    `data.votes_file` names this file, to train on it.
    """
    assert results.annotators is not None
    return _by_class(results, results.annotators.consensus)


def votes_parquet(results: AuditResults) -> bytes:
    """Return the number of annotators who chose each class, one column for each class.

    As targets they are the shares of the votes; the consensus also weighs annotators by their errors.
    """
    assert results.annotators is not None
    return _by_class(results, results.annotators.votes)


def _by_class(results: AuditResults, values: Tensor) -> bytes:
    """Return a table with the (N, K) values, which training reads as votes."""
    stream = io.BytesIO()
    named = zip(results.audited.class_names, values.unbind(1), strict=True)
    write_table(pa.table({name: numbers(column.numpy()) for name, column in named}), stream)
    return stream.getvalue()


def as_json(results: AuditResults) -> bytes:
    """Return the content of the page as JSON, without the suspects, which have their own files."""
    return encoding.as_json(results.to_dict())
