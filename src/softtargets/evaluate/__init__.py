"""Evaluation of predictions: metrics with intervals, calibration, and comparison of models."""

from softtargets.evaluate.job import EvaluationOptions, evaluate_predictions
from softtargets.evaluate.page import write_page
from softtargets.evaluate.request import EvaluateRequest
from softtargets.evaluate.results import EvaluationResults

__all__ = ["EvaluateRequest", "EvaluationOptions", "EvaluationResults", "evaluate_predictions", "write_page"]
