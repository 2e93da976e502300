"""(probabilities, labels) to numbers: accuracy, NLL and calibration error."""

from softtargets.metrics._calibration_error import Bins, ece, reliability_bins
from softtargets.metrics._classification import accuracy, nll

__all__ = ["Bins", "accuracy", "ece", "nll", "reliability_bins"]
