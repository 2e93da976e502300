"""Predictions that were made elsewhere, read from files and checked row by row."""

from softtargets.data.predictions.files import (
    PredictionChunk,
    PredictionFiles,
    Predictions,
    open_predictions,
    read_predictions,
)

__all__ = ["PredictionChunk", "PredictionFiles", "Predictions", "open_predictions", "read_predictions"]
