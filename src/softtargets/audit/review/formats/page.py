"""A page on which a person reviews labels, as one file that needs neither a server nor a network."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from softtargets.audit.page import SMALL, likely
from softtargets.audit.review.decisions import CANNOT_TELL
from softtargets.audit.review.formats.registry import ReviewFormat, review_format
from softtargets.audit.review.items import ReviewBatch, ReviewItem
from softtargets.report.frame import data_uri, render

FILE = "review.html"
# Larger images are scaled down to keep the page small.
_MAX_PIXELS = 320


@review_format("page")
class PageFormat(ReviewFormat):
    """The page. It downloads a CSV file, which :class:`TableFormat` reads."""

    describes: ClassVar[str] = f"{FILE}, a page to decide on one label after the other with the keyboard"

    def files(self, batch: ReviewBatch) -> Mapping[str, bytes]:
        items = [_item(item) for item in batch.items]
        labels = [(item["row"], item["drawn"], item["given"], item["suggested"]) for item in items]
        digest = hashlib.sha256(json.dumps([batch.title, batch.class_names, labels]).encode()).hexdigest()
        content = {
            "key": f"softtargets-review-{digest[:16]}",
            "classes": list(batch.class_names),
            "exported": batch.exported,
            "cannot_tell": CANNOT_TELL,
            "items": items,
        }
        context = {"title": batch.title, "folder": batch.folder, "items": items, "batch": content}
        page = render(Path(__file__).parents[1] / "templates", context, charts=False, filters={})
        return {FILE: page.encode()}


def _item(item: ReviewItem) -> dict[str, Any]:
    own: dict[str, Any] = {
        "row": item.row,
        "drawn": item.drawn,
        "given": item.given,
        "suggested": item.suggested,
        "likely": likely(item.wrong),
    }
    if item.picture is not None:
        data, width = item.picture.small(_MAX_PIXELS)
        own |= {"picture": data_uri("image/png", data), "small": width <= SMALL}
    elif item.text is not None:
        own["text"] = item.text
    elif item.numbers:
        own["numbers"] = [[name, f"{value:g}"] for name, value in item.numbers]
    return own
