"""Metrics and calibration as `torchmetrics.Metric` and scikit-learn estimators, and losses for transformers' `Trainer`.

Each module is named after its library, and imports it when one of its classes is first used.
"""

from softtargets.integrations import sklearn, torchmetrics, transformers

__all__ = ["sklearn", "torchmetrics", "transformers"]
