"""A CSV file with an empty column for the right label."""

import csv
import io
from collections.abc import Mapping
from typing import Any, ClassVar

from softtargets.audit.review.decisions import CANNOT_TELL, Decision, DecisionReader
from softtargets.audit.review.formats.registry import ReviewFormat, review_format
from softtargets.audit.review.items import ReviewBatch, ReviewItem
from softtargets.report.encoding import escape_csv_formula

FILE = "review.csv"
# Names of the column of the person; Label Studio's CSV export calls it annotator.
_REVIEWERS = ("reviewer", "annotator")


@review_format("csv")
class TableFormat(ReviewFormat):
    """A CSV file. The files of the page that people review labels on are read by this format, too."""

    describes: ClassVar[str] = f"a table, {FILE}, with an empty column for the label"

    def files(self, batch: ReviewBatch) -> Mapping[str, bytes]:
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        shown = [_shown(item) for item in batch.items]
        columns = list(dict.fromkeys(name for one in shown for name in one))
        head = ["row", "rank", "drawn", "exported", *columns]
        writer.writerow([*head, "given", "suggested", "probability_wrong", "label", "reviewer"])
        names = list(map(escape_csv_formula, batch.class_names))
        for item, one in zip(batch.items, shown, strict=True):
            rank = "" if item.rank is None else item.rank
            own = [item.row, rank, item.drawn, batch.exported, *(one.get(name, "") for name in columns)]
            writer.writerow([*own, names[item.given], names[item.suggested], f"{item.wrong:.4f}", "", ""])
        return {FILE: stream.getvalue().encode()}

    def accepts(self, content: Any) -> bool:
        """A file without lines is accepted: nothing was decided."""
        if not isinstance(content, list) or not all(isinstance(line, dict) for line in content):
            return False
        return all({"row", "label"} <= line.keys() and "annotations" not in line for line in content)

    def read(self, content: Any, reader: DecisionReader) -> list[Decision]:
        found = []
        for number, line in enumerate(content, start=1):
            label, place = _label_of(line["label"]), f"line {number + 1}"
            if label == "":
                continue
            reviewer = next((str(line[name]) for name in _REVIEWERS if line.get(name) not in (None, "")), "")
            decided = None if label == CANNOT_TELL else label
            found.append(reader.decision(line, decided, reviewer, place))
        return found


def _shown(item: ReviewItem) -> dict[str, Any]:
    if item.text is not None:
        return {"text": escape_csv_formula(item.text)}
    if item.picture is not None:
        path = item.picture.path
        return {} if path is None else {"image": str(path)}
    taken = ("row", "rank", "drawn", "exported", "given", "suggested", "label", "reviewer")
    return {f"column {name}" if name in taken else escape_csv_formula(name): value for name, value in item.numbers}


def _label_of(value: Any) -> str:
    """Return the label of a line; Label Studio's JSON_MIN export has several choices as a dictionary."""
    if isinstance(value, dict):
        choices = value.get("choices") or [""]
        return str(choices[0]) if len(choices) == 1 else " and ".join(map(str, choices))
    return "" if value is None else str(value).strip()
