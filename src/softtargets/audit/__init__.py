"""Audits of labels: how many are wrong, which, and what to do about it."""

from typing import TYPE_CHECKING, Any

from softtargets.audit.job import audit_labels
from softtargets.audit.request import AuditOptions, AuditStage, RunsFailedError
from softtargets.audit.results import AuditResults

if TYPE_CHECKING:
    from softtargets.audit.page import write_page
    from softtargets.audit.review.job import export_review, import_review
    from softtargets.audit.review.results import ReviewOutcome

__all__ = [
    "AuditOptions",
    "AuditResults",
    "AuditStage",
    "ReviewOutcome",
    "RunsFailedError",
    "audit_labels",
    "export_review",
    "import_review",
    "write_page",
]


def __getattr__(name: str) -> Any:
    # Imported when first used: the drawing tools of the page take 0.4 s and 40 MB, and a review needs the data rooms.
    if name == "write_page":
        from softtargets.audit.page import write_page

        return write_page
    if name in ("export_review", "import_review"):
        from softtargets.audit.review import job

        return getattr(job, name)
    if name == "ReviewOutcome":
        from softtargets.audit.review.results import ReviewOutcome

        return ReviewOutcome
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
