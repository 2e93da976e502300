"""Evaluation against the votes of several annotators, or against distributions over the classes."""
