"""The metrics of an evaluation, in the order of its page: what each is, and what accumulates it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from softtargets import metrics
from softtargets.evaluate.counts import FLOOR, FlooredNLL, Overconfidence, Perplexity
from softtargets.metrics import Accumulator

Better = Literal["higher", "lower", "zero", "neither"]
Unit = Literal["percent", "fraction", "nats", "factor"]

BINS = 15
# The bootstrap resamples random groups of rows. Metrics with a large state for each group have fewer groups, and a
# single group (no interval) if the state of all groups would exceed _NUMBERS numbers.
GROUPS, FEWER, _NUMBERS = 1000, 250, 2**20
RIGHT, PROBABILITIES = "Accuracy", "Probabilities"
CALIBRATION, RANKING = "Calibration", "Error detection"


@dataclass(frozen=True)
class Grouping:
    """Settings of the accumulators of one model: seed of the random groups, and number of classes."""

    seed: int
    num_classes: int

    def many(self) -> dict[str, Any]:
        """Return the settings of metrics with a small state."""
        return {"seed": self.seed, "groups": GROUPS}

    def few(self) -> dict[str, Any]:
        """Return the settings of metrics with a large state."""
        return {"seed": self.seed, "groups": FEWER}

    def of_classes(self) -> dict[str, Any]:
        """Return the settings of metrics whose state grows with the number of classes."""
        return {"seed": self.seed, "groups": FEWER if self.num_classes * BINS * FEWER <= _NUMBERS else 1}


Make = Callable[[Grouping], Accumulator]


class EvaluationMetric(NamedTuple):
    """The definition of a metric.

    Args:
        group: heading of related metrics.
        label: name on the page.
        describes: definition in a sentence.
        make: makes the accumulator. Metrics with the same function share one accumulator, whose outputs are these
            metrics in this order.
        unit: unit in which it is shown; it is stored as a fraction or in nats.
        better: which values are better.
        core: whether it is also computed after temperature scaling and compared between models.
        least_classes: smallest number of classes for which it is computed.
        of_tokens: whether it is computed only if the rows are tokens of sequences.
    """

    group: str
    label: str
    describes: str
    make: Make
    unit: Unit = "percent"
    better: Better = "lower"
    core: bool = False
    least_classes: int = 2
    of_tokens: bool = False


def _accuracy(grouping: Grouping) -> Accumulator:
    return metrics.Accuracy(**grouping.many())


def _top5_accuracy(grouping: Grouping) -> Accumulator:
    return metrics.Accuracy(top_k=5, **grouping.many())


def _nll(grouping: Grouping) -> Accumulator:
    return metrics.NLL(**grouping.many())


def _nll_floored(grouping: Grouping) -> Accumulator:
    return FlooredNLL(**grouping.many())


def _perplexity(grouping: Grouping) -> Accumulator:
    return Perplexity(**grouping.many())


def _brier(grouping: Grouping) -> Accumulator:
    return metrics.Brier(**grouping.many())


def _brier_parts(grouping: Grouping) -> Accumulator:
    return metrics.BrierDecomposition(n_bins=BINS, **grouping.of_classes())


def _overconfidence(grouping: Grouping) -> Accumulator:
    return Overconfidence(**grouping.many())


def _ece(grouping: Grouping) -> Accumulator:
    return metrics.ECE(n_bins=BINS, **grouping.many())


def _ece_mass(grouping: Grouping) -> Accumulator:
    return metrics.ECE(n_bins=BINS, binning="mass", **grouping.few())


def _ece_debiased(grouping: Grouping) -> Accumulator:
    return metrics.ECE(n_bins=BINS, norm="l2", debiased=True, **grouping.many())


def _ece_max(grouping: Grouping) -> Accumulator:
    return metrics.ECE(n_bins=BINS, norm="max", **grouping.many())


def _ece_classwise(grouping: Grouping) -> Accumulator:
    return metrics.ECE(n_bins=BINS, classwise=True, **grouping.of_classes())


def _smooth_ece(grouping: Grouping) -> Accumulator:
    return metrics.SmoothECE(**grouping.few())


def _selective(grouping: Grouping) -> Accumulator:
    return metrics.SelectiveRisk(**grouping.few())


# Every metric that an evaluation can contain, in the order of the page.
METRICS: dict[str, EvaluationMetric] = {
    "accuracy": EvaluationMetric(
        RIGHT, "Accuracy", "Share of rows whose label is the most likely class.", _accuracy, better="higher", core=True
    ),
    "top5_accuracy": EvaluationMetric(
        RIGHT,
        "Top-5 accuracy",
        "Share of rows whose label is among the five most likely classes.",
        _top5_accuracy,
        better="higher",
        core=True,
        least_classes=6,
    ),
    "nll": EvaluationMetric(
        PROBABILITIES,
        "NLL",
        "Mean negative log-likelihood of the labels; infinite if a label has probability 0.",
        _nll,
        unit="nats",
        core=True,
    ),
    "nll_floored": EvaluationMetric(
        PROBABILITIES,
        f"NLL, probabilities ≥ {FLOOR:g}",
        f"NLL with the probability of each label raised to at least {FLOOR:g}, so that it is finite; shown if a label "
        "has probability 0. It depends on the floor.",
        _nll_floored,
        unit="nats",
    ),
    "perplexity": EvaluationMetric(
        PROBABILITIES,
        "Perplexity",
        "Exponential of the NLL: the number of equally likely tokens with the same NLL.",
        _perplexity,
        unit="factor",
        of_tokens=True,
    ),
    "brier": EvaluationMetric(
        PROBABILITIES,
        "Brier score",
        "Mean squared distance between the probabilities and the label, summed over the classes; from 0 to 2.",
        _brier,
        unit="fraction",
        core=True,
    ),
    "brier_reliability": EvaluationMetric(
        PROBABILITIES,
        "… reliability",
        "Part of the Brier score that is due to miscalibration.",
        _brier_parts,
        unit="fraction",
    ),
    "brier_resolution": EvaluationMetric(
        PROBABILITIES,
        "… resolution",
        "Variance of the outcome between bins; it enters the Brier score with a minus sign.",
        _brier_parts,
        unit="fraction",
        better="higher",
    ),
    "brier_uncertainty": EvaluationMetric(
        PROBABILITIES,
        "… uncertainty",
        "Brier score of predicting the class frequencies: a property of the data, not of the model.",
        _brier_parts,
        unit="fraction",
        better="neither",
    ),
    "brier_within_bin": EvaluationMetric(
        PROBABILITIES,
        "… within bins",
        "Remaining part, due to the variation of the probabilities within bins.",
        _brier_parts,
        unit="fraction",
        better="neither",
    ),
    "overconfidence": EvaluationMetric(
        CALIBRATION,
        "Confidence − accuracy",
        "Mean confidence minus accuracy: over-confident above 0, under-confident below 0.",
        _overconfidence,
        better="zero",
    ),
    "ece": EvaluationMetric(
        CALIBRATION,
        "ECE",
        f"Expected calibration error: mean distance between confidence and accuracy, {BINS} bins of equal width, l1.",
        _ece,
        core=True,
    ),
    "ece_mass": EvaluationMetric(
        CALIBRATION,
        "ECE, equal mass",
        f"ECE with {BINS} bins that contain equally many rows.",
        _ece_mass,
        core=True,
    ),
    "ece_debiased": EvaluationMetric(
        CALIBRATION,
        "ECE, l2, debiased",
        f"Root mean squared distance between confidence and accuracy, {BINS} bins of equal width, corrected for finite "
        "samples (Kumar 2019).",
        _ece_debiased,
    ),
    "ece_max": EvaluationMetric(
        CALIBRATION,
        "ECE, maximum",
        f"Largest distance between confidence and accuracy in any of {BINS} bins of equal width.",
        _ece_max,
    ),
    "ece_classwise": EvaluationMetric(
        CALIBRATION,
        "ECE, class-wise",
        f"Mean over the classes of the ECE of the probability of the class, {BINS} bins of equal width.",
        _ece_classwise,
    ),
    "smooth_ece": EvaluationMetric(
        CALIBRATION,
        "Smooth ECE",
        "Calibration error after smoothing with a kernel instead of binning (Błasiok and Nakkiran 2023).",
        _smooth_ece,
        core=True,
    ),
    "aurc": EvaluationMetric(
        RANKING,
        "AURC",
        "Area under the risk-coverage curve: error of the most confident rows, averaged over all coverages.",
        _selective,
        core=True,
    ),
    "excess_aurc": EvaluationMetric(
        RANKING, "Excess AURC", "AURC minus the AURC of the best possible ranking of the same rows.", _selective
    ),
    "misclassification_auroc": EvaluationMetric(
        RANKING,
        "AUROC of errors",
        "Probability that a wrong row is less confident than a right one.",
        _selective,
        better="higher",
        core=True,
    ),
    "coverage_at_1": EvaluationMetric(
        RANKING,
        "Coverage at 1 % risk",
        "Largest share of rows that can be kept with at most 1 % errors.",
        _selective,
        better="higher",
    ),
    "coverage_at_5": EvaluationMetric(
        RANKING,
        "Coverage at 5 % risk",
        "Largest share of rows that can be kept with at most 5 % errors.",
        _selective,
        better="higher",
    ),
}
# The metrics that are computed after temperature scaling.
AFTER_SCALING = tuple(
    name for name, metric in METRICS.items() if metric.core or name in ("overconfidence", "perplexity")
)
# The metrics of the tokens at some positions, or of some frequency.
OF_TOKENS = ("accuracy", "nll", "perplexity", "overconfidence", "ece")
