"""Predictions of any model, read from files or given as arrays, and checked row by row."""

from softtargets.data.predictions.arrays import ArrayLike, PredictionChunk, Predictions, as_probs, predictions_of
from softtargets.data.predictions.blocks import even_blocks
from softtargets.data.predictions.files import PredictionFiles, open_predictions, read_predictions
from softtargets.data.predictions.spill import RowBuffer

__all__ = [
    "ArrayLike",
    "PredictionChunk",
    "PredictionFiles",
    "Predictions",
    "RowBuffer",
    "as_probs",
    "even_blocks",
    "open_predictions",
    "predictions_of",
    "read_predictions",
]
