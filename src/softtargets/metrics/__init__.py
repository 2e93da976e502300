"""(probabilities, labels) to numbers: accuracy, NLL and calibration error."""

from softtargets.metrics._calibration_error import Bins, ece, reliability_bins
from softtargets.metrics._classification import accuracy, nll
from softtargets.metrics._ranking import auroc

__all__ = ["Bins", "accuracy", "auroc", "ece", "nll", "reliability_bins"]
