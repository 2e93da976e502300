"""What an audit found as files for other programs."""

import csv
import io
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from softtargets.audit.results import AuditResults, Estimate
from softtargets.report import encoding

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA_VERSION = 1


def suspects_csv(results: AuditResults) -> bytes:
    """Return one line per suspect, most suspect first."""
    from pyarrow.csv import WriteOptions, write_csv

    stream = io.BytesIO()
    names = tuple(map(encoding.inert, results.class_names))
    write_csv(_table(results, names), stream, WriteOptions(quoting_style="needed"))
    return stream.getvalue()


def suspects_parquet(results: AuditResults) -> bytes:
    """Return what the CSV file holds, with types."""
    from pyarrow.parquet import write_table

    stream = io.BytesIO()
    write_table(_table(results, results.class_names), stream)
    return stream.getvalue()


def _table(results: AuditResults, class_names: tuple[str, ...]) -> "pa.Table":
    import numpy as np
    import pyarrow as pa

    suspects = results.suspects
    names = pa.array(class_names, pa.string())

    def called(labels) -> "pa.Array":
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
    """Return the chosen estimate: a row for each clean class, a column for each observed label."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = tuple(map(encoding.inert, results.class_names))
    writer.writerow(["clean", *names])
    matrix = results.estimate.transition.to_dense().tolist()
    writer.writerows([name, *row] for name, row in zip(names, matrix, strict=True))
    return text.getvalue().encode()


def as_json(results: AuditResults) -> bytes:
    """Return all that the page says as JSON; the suspects themselves have files of their own."""
    names = results.class_names
    reference = results.reference
    data = {
        "schema_version": SCHEMA_VERSION,
        "name": results.name,
        "labels": results.labels,
        "predictions": results.predictions,
        "command": results.command,
        "versions": results.versions,
        "rows": results.num_rows,
        "row_order": results.row_order,
        "class_names": list(names),
        "held_out_agreement": results.accuracy,
        "confidence": results.confidence,
        "noise_rate": asdict(results.noise_rate),
        "recommendation": asdict(results.recommendation),
        "chosen_estimator": results.chosen,
        "estimates": [_estimate(estimate) for estimate in results.estimates],
        "reference": reference
        and {"noise_rate": reference.noise_rate, "transition": reference.transition.to_dense().tolist()},
        "confusions": [
            {"clean": names[pair.clean], "observed": names[pair.observed], **asdict(pair.count)}
            for pair in results.confusions
        ],
        "ranking": results.ranking,
        "scores": [asdict(score) for score in results.scores],
        "classes": [{"name": name, **asdict(row)} for name, row in zip(names, results.classes, strict=True)],
        "suspects": len(results.suspects),
        "cuts": [{"first": cut.first, "true": cut.true, **asdict(cut.wrong)} for cut in results.cuts],
        "model": results.model and asdict(results.model),
        "notes": list(results.notes),
    }
    return encoding.as_json(data)


def _estimate(estimate: Estimate) -> dict[str, Any]:
    return {
        "name": estimate.name,
        "noise_rate": estimate.noise_rate,
        "condition": estimate.condition,
        "transition": estimate.transition.to_dense().tolist(),
        "distance_to_reference": estimate.distance and list(estimate.distance),
    }
