"""FiftyOne: a folder in the format of its FiftyOneImageClassificationDataset."""

import json
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from softtargets._errors import fail
from softtargets.audit.review.decisions import Decision, DecisionReader
from softtargets.audit.review.formats.registry import ReviewFormat, review_format
from softtargets.audit.review.items import RANDOM, ReviewBatch, ReviewItem

FOLDER = "fiftyone"
_NAME = re.compile(r"(suspect|random)-(\d+)-(\d+)")


@review_format("fiftyone")
class FiftyOneFormat(ReviewFormat):
    """Images with their labels. The name of a file says which row it is and why it is reviewed."""

    describes: ClassVar[str] = f"{FOLDER}/, images for FiftyOne, with the given and the suggested labels"

    def files(self, batch: ReviewBatch) -> Mapping[str, bytes]:
        if any(item.picture is None for item in batch.items):
            remedy = "use label-studio, csv or page"
            raise fail("to", "a data set of images for fiftyone", f"'{batch.title}'", remedy)
        images: dict[str, bytes] = {}
        for item in batch.items:
            assert item.picture is not None
            data, suffix = item.picture.file()
            images[f"{FOLDER}/data/{_name(item, batch)}{suffix}"] = data
        given = {_name(item, batch): item.given for item in batch.items}
        suggested = {_name(item, batch): item.suggested for item in batch.items}
        return {
            f"{FOLDER}/labels.json": _labels(batch, given),
            f"{FOLDER}/suggested.json": _labels(batch, suggested),
            **images,
        }

    def accepts(self, content: Any) -> bool:
        return isinstance(content, dict) and isinstance(content.get("labels"), dict) and "classes" in content

    def read(self, content: Any, reader: DecisionReader) -> list[Decision]:
        """Every image in the file counts as decided."""
        found = []
        for name, target in content["labels"].items():
            match = _NAME.search(name)
            if match is None:
                remedy = "keep the names of the exported images"
                raise reader.bad("names such as suspect-12-200", repr(name), "labels", remedy)
            label = target["label"] if isinstance(target, dict) else target
            if isinstance(label, int) and content["classes"] and 0 <= label < len(content["classes"]):
                label = content["classes"][label]
            fields = {"drawn": match[1], "row": match[2], "exported": match[3]}
            decided = None if label is None else str(label)
            found.append(reader.decision(fields, decided, "", repr(name)))
        return found


def _name(item: ReviewItem, batch: ReviewBatch) -> str:
    kind = RANDOM if item.rank is None else "suspect"
    return f"{kind}-{item.row}-{batch.exported}"


def _labels(batch: ReviewBatch, labels: dict[str, int]) -> bytes:
    content = {"classes": list(batch.class_names), "labels": labels}
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()
