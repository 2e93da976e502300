"""The formats in which labels are given to people, and in which their decisions come back."""

from softtargets.audit.review.formats import fiftyone, label_studio, page, table
from softtargets.audit.review.formats.registry import FORMATS, ReviewFormat, find_format, read_decisions

__all__ = ["FORMATS", "ReviewFormat", "fiftyone", "find_format", "label_studio", "page", "read_decisions", "table"]
