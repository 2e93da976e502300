"""Run specifications, their identities, and the run store."""

from softtargets.runs.finding import find_run
from softtargets.runs.listing import RunEntry, RunListing, list_runs

__all__ = ["RunEntry", "RunListing", "find_run", "list_runs"]
