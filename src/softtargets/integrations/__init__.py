"""Losses, metrics, calibration and distillation for other libraries.

Each module is named after its library, and imports it when something that needs it is first used.
"""

from softtargets.integrations import (
    keras,
    lightning,
    sentence_transformers,
    sklearn,
    timm,
    torchmetrics,
    transformers,
    ultralytics,
)

__all__ = [
    "keras",
    "lightning",
    "sentence_transformers",
    "sklearn",
    "timm",
    "torchmetrics",
    "transformers",
    "ultralytics",
]
