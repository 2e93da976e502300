"""The files of a report, each replaced in one step."""

import csv
import io
from dataclasses import asdict
from pathlib import Path
from typing import Any

from softtargets.report import encoding
from softtargets.report.drawing import Drawing
from softtargets.report.frame import put
from softtargets.studies.page import page, tables
from softtargets.studies.records import CellKey, Verdict
from softtargets.studies.results import StudyResults

SCHEMA_VERSION = 2
# What results.json has of a verdict beside its claim, and of a run.
_FOUND = ("estimate", "low", "high", "p", "confidence", "n", "reason")
_OF_RUN = ("seed", "run_id", "status", "reason", "seconds", "metrics")


def write(results: StudyResults, folder: Path) -> Path:
    """Write the page of a study, its figures and its numbers into `folder`, and return the page.

    ``index.html`` needs none of the other files. Everything is made in memory first and each file is then renamed
    into place, the page last, so that an interruption leaves every file either old or new. What else lies in the
    folder stays.

    Args:
        results: what is known of the study.
        folder: made if it does not exist.

    Returns:
        Path of ``index.html``.
    """
    return put(build(results), folder)


def build(results: StudyResults) -> dict[str, bytes]:
    """Return every file of a report by its path in the folder, the page last."""
    drawn = {name: draw(results, name) for name in results.outputs}
    drawings = {name: drawing for name, drawing in drawn.items() if drawing is not None}
    images = {name: page.FigureFiles(drawing.svg().encode(), drawing.png()) for name, drawing in drawings.items()}
    laid_out = {name: tables.lay_out(results, name) for name in results.outputs}
    html = page.render(results, laid_out, drawings, images)
    contents = {f"figures/{page.stem(name)}.svg": image.svg for name, image in images.items()}
    contents |= {f"figures/{page.stem(name)}.png": image.png for name, image in images.items()}
    contents["results.json"] = encoding.as_json(as_data(results))
    contents["results.csv"] = as_csv(results).encode()
    contents["index.html"] = html.encode()
    return contents


def draw(results: StudyResults, name: str) -> Drawing | None:
    """Draw one output of the study; None where it is a table, not available, or where nothing is known yet."""
    output = results.study.outputs[name]
    drawing = None if output.unavailable else results.shown[name].draw(results, output)
    return drawing if drawing is not None and drawing.panels else None


def as_data(results: StudyResults) -> dict[str, Any]:
    """Return what the page says as JSON data: verdicts, a summary of each cell, and every run."""
    return {
        "schema_version": SCHEMA_VERSION,
        "study": results.study.name,
        "title": results.study.title,
        "scale": results.scale,
        "outputs": list(results.outputs),
        "command": results.command,
        "data": [asdict(data) for data in results.data],
        "verdicts": [_verdict_data(verdict) for verdict in results.verdicts],
        "cells": [_cell_data(results, key) for key in dict.fromkeys(record.key for record in results.cells)],
        "reported": [{**asdict(r), "key": r.key._asdict()} for r in results.reported],
    }


def _verdict_data(verdict: Verdict) -> dict[str, Any]:
    claim = verdict.claim
    told = {"claim": claim.id, "quote": claim.quote, "where": claim.where, "output": claim.output}
    return {**told, "verdict": verdict.name, **{name: getattr(verdict, name) for name in _FOUND}}


def _cell_data(results: StudyResults, key: CellKey) -> dict[str, Any]:
    records = results.records(key)
    names = sorted({name for record in records for name in record.metrics})
    summaries = {name: summary for name in names if (summary := results.summary(key, name)) is not None}
    return {
        **key._asdict(),
        "summaries": {name: asdict(summary) for name, summary in summaries.items()},
        "runs": [{name: getattr(record, name) for name in _OF_RUN} for record in records],
    }


def as_csv(results: StudyResults) -> str:
    """Return one line per run: its place, what became of it, and every metric in full."""
    metrics = sorted({name for record in results.cells for name in record.metrics})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["arm", "level", "noise", "seed", "run_id", "status", "seconds", *metrics])
    for record in results.cells:
        values = [record.metrics.get(name, "") for name in metrics]
        writer.writerow([*record.key, record.seed, record.run_id, record.status, record.seconds, *values])
    return text.getvalue()
