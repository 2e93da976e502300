"""Run specifications, their identities, and the run store."""
