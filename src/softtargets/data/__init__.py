"""Data sets as tensors: from a specification to inputs, labels and splits.

Names are imported when first used, so that a specification can be read without waiting for torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
    "fingerprint",
    "load",
    "normalization",
    "observed_fingerprint",
    "open_predictions",
    "read_observed",
    "read_predictions",
]

_HOME = {
    "DataSpec": "spec",
    "Dataset": "dataset",
    "Fold": "spec",
    "Limit": "spec",
    "PredictionChunk": "predictions",
    "PredictionFiles": "predictions",
    "Predictions": "predictions",
    "fingerprint": "sources",
    "load": "sources",
    "normalization": "dataset",
    "observed_fingerprint": "observed",
    "open_predictions": "predictions",
    "read_observed": "observed",
    "read_predictions": "predictions",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"softtargets.data.{_HOME[name]}"), name)
    raise AttributeError(f"module 'softtargets.data' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
