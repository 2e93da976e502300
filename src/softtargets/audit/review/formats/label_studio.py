"""Label Studio: tasks with predictions as JSON, the labeling configuration as XML, and its JSON export."""

import base64
import json
from collections.abc import Mapping
from typing import Any, ClassVar
from xml.sax.saxutils import quoteattr

from softtargets.audit.review.decisions import Decision, DecisionReader
from softtargets.audit.review.formats.registry import ReviewFormat, review_format
from softtargets.audit.review.items import ReviewBatch, ReviewItem

TASKS, CONFIGURATION = "label-studio.json", "label-studio.xml"
# Name of the control tag.
_CONTROL = "label"
# More classes than this are shown as a list to choose from.
_MOST_BUTTONS = 24
_TYPES = {"jpg": "jpeg", "svg": "svg+xml"}


@review_format("label-studio")
class LabelStudioFormat(ReviewFormat):
    """Tasks whose predictions are the suggested labels. Pictures are inside the file."""

    describes: ClassVar[str] = f"{TASKS} to import into Label Studio, with {CONFIGURATION} as labeling configuration"

    def files(self, batch: ReviewBatch) -> Mapping[str, bytes]:
        tasks = [_task(item, batch) for item in batch.items]
        text = json.dumps(tasks, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        return {TASKS: text.encode(), CONFIGURATION: _configuration(batch).encode()}

    def accepts(self, content: Any) -> bool:
        return (
            isinstance(content, list)
            and bool(content)
            and all(isinstance(task, dict) and {"data", "annotations"} <= task.keys() for task in content)
        )

    def read(self, content: Any, reader: DecisionReader) -> list[Decision]:
        found = []
        for number, task in enumerate(content):
            place = f"task {number}"
            for annotation in task["annotations"] or []:
                reviewer = _reviewer(annotation.get("completed_by"))
                if annotation.get("was_cancelled"):
                    found.append(reader.decision(task["data"], None, reviewer, place))
                    continue
                label = _choice(annotation.get("result") or [], reader, place)
                if label is not None:
                    found.append(reader.decision(task["data"], label, reviewer, place))
        return found


def _object(item: ReviewItem) -> tuple[str, str]:
    """Return the object tag and the name of its field."""
    if item.picture is not None:
        return "Image", "image"
    return ("Table", "table") if item.numbers else ("Text", "text")


def _task(item: ReviewItem, batch: ReviewBatch) -> dict[str, Any]:
    _, field = _object(item)
    shown: Any = f"Row {item.row}" if item.text is None else item.text
    if item.picture is not None:
        data, suffix = item.picture.file()
        kind = suffix.removeprefix(".")
        shown = f"data:image/{_TYPES.get(kind, kind)};base64,{base64.b64encode(data).decode()}"
    elif item.numbers:
        shown = {name: f"{value:g}" for name, value in item.numbers}
    names = batch.class_names
    choice = {
        "from_name": _CONTROL,
        "to_name": field,
        "type": "choices",
        "value": {"choices": [names[item.suggested]]},
    }
    return {
        "data": {
            field: shown,
            "row": item.row,
            "rank": item.rank,
            "drawn": item.drawn,
            "exported": batch.exported,
            "given": names[item.given],
            "suggested": names[item.suggested],
            "probability_wrong": round(item.wrong, 4),
        },
        "predictions": [{"model_version": "softtargets", "score": round(item.wrong, 4), "result": [choice]}],
    }


def _configuration(batch: ReviewBatch) -> str:
    tag, field = _object(batch.items[0])
    layout = ' layout="select"' if len(batch.class_names) > _MOST_BUTTONS else ' showInLine="true"'
    choices = "\n".join(f"    <Choice value={quoteattr(name)}/>" for name in batch.class_names)
    return f"""<View>
  <Header value="Given: $given. Suggested: $suggested. Skip the task if you cannot tell."/>
  <{tag} name="{field}" value="${field}"/>
  <Choices name="{_CONTROL}" toName="{field}" choice="single"{layout}>
{choices}
  </Choices>
</View>
"""


def _reviewer(completed_by: Any) -> str:
    """Return the name of the person: an address, or a number."""
    if isinstance(completed_by, dict):
        completed_by = completed_by.get("email") or completed_by.get("id")
    return "" if completed_by is None else str(completed_by)


def _choice(result: list[Any], reader: DecisionReader, place: str) -> str | None:
    """Return the class that was chosen; None if nothing was."""
    chosen = [
        name
        for part in result
        if part.get("type") == "choices" and part.get("from_name") == _CONTROL
        for name in part["value"]["choices"]
    ]
    if len(chosen) > 1:
        raise reader.bad("one class", " and ".join(map(repr, chosen)), place, f"use {CONFIGURATION}")
    return str(chosen[0]) if chosen else None
