"""The files of a study's page."""

import csv
import io
from pathlib import Path

from softtargets.report import encoding, static
from softtargets.report.drawing import Drawing
from softtargets.report.frame import put
from softtargets.studies.page import page, tables
from softtargets.studies.results import StudyResults


def write(results: StudyResults, folder: Path) -> Path:
    """Write the page of a study, its figures (if vl-convert is installed) and its numbers into `folder`.

    All files are built in memory and then renamed into place, the page last, so that none is ever incomplete.
    ``index.html`` needs none of the other files. Other files in the folder are kept.

    Args:
        results: the results of the study.
        folder: created if it does not exist.

    Returns:
        Path of ``index.html``.
    """
    return put(build(results), folder)


def build(results: StudyResults) -> dict[str, bytes]:
    """Return all files of a page by their path in the folder, the page last.

    Files of figures are among them if vl-convert is installed.
    """
    drawn = {name: draw(results, name) for name in results.outputs}
    drawings = {name: drawing for name, drawing in drawn.items() if drawing is not None}
    converted = drawings if static.is_available() else {}
    images = {name: page.FigureFiles(drawing.svg().encode(), drawing.png()) for name, drawing in converted.items()}
    laid_out = {name: tables.lay_out(results, name) for name in results.outputs}
    html = page.render(results, laid_out, drawings, images)
    contents = {f"figures/{page.stem(name)}.svg": image.svg for name, image in images.items()}
    contents |= {f"figures/{page.stem(name)}.png": image.png for name, image in images.items()}
    contents["results.json"] = encoding.as_json(results.to_dict())
    contents["results.csv"] = as_csv(results).encode()
    contents["index.html"] = html.encode()
    return contents


def draw(results: StudyResults, name: str) -> Drawing | None:
    """Draw one output of the study; None for a table, and if the output is not available or has no data yet."""
    output = results.study.outputs[name]
    drawing = None if output.unavailable else results.shown[name].draw(results, output)
    return drawing if drawing is not None and drawing.panels else None


def as_csv(results: StudyResults) -> str:
    """Return one line for each run: cell, status, and all metrics in full precision."""
    metrics = sorted({name for record in results.cells for name in record.metrics})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["arm", "level", "noise", "seed", "run_id", "status", "seconds", *metrics])
    for record in results.cells:
        values = [record.metrics.get(name, "") for name in metrics]
        writer.writerow([*record.key, record.seed, record.run_id, record.status, record.seconds, *values])
    return text.getvalue()
