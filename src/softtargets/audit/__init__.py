"""Audits of labels: how many are wrong, which, and what to do about it."""

from typing import TYPE_CHECKING, Any

from softtargets.audit.job import audit_labels
from softtargets.audit.request import AuditOptions, AuditStage, RunsFailedError
from softtargets.audit.results import AuditResults

if TYPE_CHECKING:
    from softtargets.audit.page import write_page

__all__ = ["AuditOptions", "AuditResults", "AuditStage", "RunsFailedError", "audit_labels", "write_page"]


def __getattr__(name: str) -> Any:
    # The page is imported when first used, since its drawing tools take 0.4 s and 40 MB.
    if name == "write_page":
        from softtargets.audit.page import write_page

        return write_page
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
