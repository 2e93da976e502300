"""Evaluations of predictions: how good they are, how far they can be trusted, and which are better."""
