"""Audits of labels: how many are wrong, which, and what to do about it."""

from softtargets.audit.job import audit_labels
from softtargets.audit.models import RunsFailedError
from softtargets.audit.page import write_page
from softtargets.audit.request import AuditOptions, AuditStage
from softtargets.audit.results import AuditResults

__all__ = ["AuditOptions", "AuditResults", "AuditStage", "RunsFailedError", "audit_labels", "write_page"]
