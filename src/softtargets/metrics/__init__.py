"""(probabilities or logits, labels) to numbers, as functions and as accumulators, and intervals of them."""

from softtargets.metrics._brier import Brier, BrierDecomposition, BrierParts, brier, brier_decomposition
from softtargets.metrics._calibration_error import ECE, Bins, ece, reliability_bins
from softtargets.metrics._classification import NLL, Accuracy, accuracy, nll
from softtargets.metrics._interval import Interval, interval, paired_difference
from softtargets.metrics._ranking import auroc
from softtargets.metrics._risk_counts import RiskCoverage
from softtargets.metrics._selective import (
    SelectiveRisk,
    aurc,
    coverage_at_risk,
    error_auroc,
    excess_aurc,
    risk_coverage,
)
from softtargets.metrics._smooth import SmoothECE, SmoothReliability, smooth_ece, smooth_reliability
from softtargets.metrics.accumulators import Accumulator, Collection

__all__ = [
    "ECE",
    "NLL",
    "Accumulator",
    "Accuracy",
    "Bins",
    "Brier",
    "BrierDecomposition",
    "BrierParts",
    "Collection",
    "Interval",
    "RiskCoverage",
    "SelectiveRisk",
    "SmoothECE",
    "SmoothReliability",
    "accuracy",
    "aurc",
    "auroc",
    "brier",
    "brier_decomposition",
    "coverage_at_risk",
    "ece",
    "error_auroc",
    "excess_aurc",
    "interval",
    "nll",
    "paired_difference",
    "reliability_bins",
    "risk_coverage",
    "smooth_ece",
    "smooth_reliability",
]
