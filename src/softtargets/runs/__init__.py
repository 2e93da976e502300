"""Run specifications, their identities, and the run store."""

from softtargets.runs.listing import RunEntry, RunListing, find_run, list_runs

__all__ = ["RunEntry", "RunListing", "find_run", "list_runs"]
