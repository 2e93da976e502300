"""Metrics and calibration as `torchmetrics.Metric` and scikit-learn estimators, and losses for the trainers of others.

Each module is named after its library, and imports it when something that needs it is first used.
"""

from softtargets.integrations import sklearn, timm, torchmetrics, transformers, ultralytics

__all__ = ["sklearn", "timm", "torchmetrics", "transformers", "ultralytics"]
