"""Data sets: inputs, labels and splits from a specification."""

from softtargets.data._texts import count_words
from softtargets.data.dataset import Dataset, normalization
from softtargets.data.observed import observed_fingerprint, read_observed
from softtargets.data.predictions import (
    PredictionChunk,
    PredictionFiles,
    Predictions,
    open_predictions,
    read_predictions,
)
from softtargets.data.sources import fingerprint, load
from softtargets.data.spec import DataSpec, Fold, Limit

__all__ = [
    "DataSpec",
    "Dataset",
    "Fold",
    "Limit",
    "PredictionChunk",
    "PredictionFiles",
    "Predictions",
    "count_words",
    "fingerprint",
    "load",
    "normalization",
    "observed_fingerprint",
    "open_predictions",
    "read_observed",
    "read_predictions",
]
