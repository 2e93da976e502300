"""Evaluate predictions: how good they are, how well calibrated, and which of several models is better."""

from softtargets.evaluate.job import EvaluationOptions, evaluate_predictions
from softtargets.evaluate.page import write_page
from softtargets.evaluate.request import EvaluateRequest
from softtargets.evaluate.results import EvaluationResults

__all__ = ["EvaluateRequest", "EvaluationOptions", "EvaluationResults", "evaluate_predictions", "write_page"]
