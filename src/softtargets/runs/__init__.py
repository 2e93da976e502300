"""Run specifications, their identity, and the run store."""
