"""Predictions that were made elsewhere, read from files or given as arrays, and checked row by row."""

from softtargets.data.predictions.arrays import ArrayLike, PredictionChunk, Predictions, predictions_of
from softtargets.data.predictions.files import PredictionFiles, open_predictions, read_predictions

__all__ = [
    "ArrayLike",
    "PredictionChunk",
    "PredictionFiles",
    "Predictions",
    "open_predictions",
    "predictions_of",
    "read_predictions",
]
