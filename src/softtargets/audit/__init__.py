"""Audits of labels: which are wrong, how they are wrong, and what to do about it."""
