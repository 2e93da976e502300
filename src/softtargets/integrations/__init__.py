"""Our methods as other libraries' own kinds of object: `torchmetrics.Metric`, scikit-learn estimators.

Each module is named after its library, and imports it when one of its classes is first used.
"""

from softtargets.integrations import sklearn, torchmetrics

__all__ = ["sklearn", "torchmetrics"]
