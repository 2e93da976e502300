"""The files beside the page."""

from softtargets.compare.results import CompareResults
from softtargets.report import encoding

SPECIFICATION = "recommended.toml"


def as_json(results: CompareResults) -> bytes:
    """Return the content of the page as JSON, in full precision."""
    return encoding.as_json(results.to_dict())


def specification(results: CompareResults) -> bytes:
    """Return the specification of the recommended method."""
    return results.specification.encode()
