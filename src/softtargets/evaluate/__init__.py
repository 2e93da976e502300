"""Evaluation of predictions: metrics with intervals, calibration, and comparison of models."""

from typing import TYPE_CHECKING, Any

from softtargets.evaluate.job import EvaluationOptions, evaluate_predictions
from softtargets.evaluate.request import EvaluateRequest
from softtargets.evaluate.results import EvaluationResults

if TYPE_CHECKING:
    from softtargets.evaluate.page import write_page

__all__ = ["EvaluateRequest", "EvaluationOptions", "EvaluationResults", "evaluate_predictions", "write_page"]


def __getattr__(name: str) -> Any:
    # The page is imported when first used, since its drawing tools take 0.4 s and 40 MB.
    if name == "write_page":
        from softtargets.evaluate.page import write_page

        return write_page
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
