"""Metrics and calibration as `torchmetrics.Metric` and scikit-learn estimators.

Each module is named after its library, and imports it when one of its classes is first used.
"""

from softtargets.integrations import sklearn, torchmetrics

__all__ = ["sklearn", "torchmetrics"]
