"""Losses, metrics, calibration and distillation for other libraries.

Each module is named after its library, and imports it when one of its classes is first used.
"""

from softtargets.integrations import keras, lightning, sentence_transformers, sklearn, torchmetrics, transformers

__all__ = ["keras", "lightning", "sentence_transformers", "sklearn", "torchmetrics", "transformers"]
