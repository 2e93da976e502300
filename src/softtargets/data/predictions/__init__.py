"""Predictions of any model, read from files or given as arrays, and checked row by row."""

from softtargets.data.predictions.arrays import (
    ArrayLike,
    PredictionChunk,
    Predictions,
    as_probs,
    as_tensor,
    predictions_of,
)
from softtargets.data.predictions.blocks import even_blocks
from softtargets.data.predictions.checks import IGNORED
from softtargets.data.predictions.files import PredictionFiles, open_predictions, read_predictions
from softtargets.data.predictions.parts import SequenceNames
from softtargets.data.predictions.spill import RowBuffer

__all__ = [
    "IGNORED",
    "ArrayLike",
    "PredictionChunk",
    "PredictionFiles",
    "Predictions",
    "RowBuffer",
    "SequenceNames",
    "as_probs",
    "as_tensor",
    "even_blocks",
    "open_predictions",
    "predictions_of",
    "read_predictions",
]
