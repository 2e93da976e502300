"""The metrics of an evaluation, in the order of its page."""

from typing import Literal, NamedTuple

Better = Literal["higher", "lower", "zero", "neither"]
Unit = Literal["percent", "fraction", "nats"]

RIGHT, PROBABILITIES = "Right or wrong", "Probabilities"
CALIBRATION, RANKING = "Confidence", "Knowing when it is wrong"


class EvaluationMetric(NamedTuple):
    """What a metric is.

    Args:
        group: heading of related metrics.
        label: its name on the page.
        describes: its definition in a sentence; `{bins}` is filled in.
        unit: in which it is shown; it is stored as a fraction or in nats.
        better: which values are better.
        core: whether it is also computed after temperature scaling and compared between models.
    """

    group: str
    label: str
    describes: str
    unit: Unit = "percent"
    better: Better = "lower"
    core: bool = False


# Every metric that an evaluation may contain, in the order of the page.
METRICS: dict[str, EvaluationMetric] = {
    "accuracy": EvaluationMetric(
        RIGHT, "Accuracy", "Rows whose label is the most likely class.", better="higher", core=True
    ),
    "top5_accuracy": EvaluationMetric(
        RIGHT, "Top-5 accuracy", "Rows whose label is among the five most likely classes.", better="higher", core=True
    ),
    "nll": EvaluationMetric(
        PROBABILITIES,
        "NLL",
        "Mean of −log of the probability of the label; infinite if one of them is 0.",
        unit="nats",
        core=True,
    ),
    "brier": EvaluationMetric(
        PROBABILITIES,
        "Brier score",
        "Mean squared distance, summed over the classes, between the probabilities and the label: from 0 to 2.",
        unit="fraction",
        core=True,
    ),
    "brier_reliability": EvaluationMetric(
        PROBABILITIES, "… reliability", "The part of the Brier score that is due to miscalibration.", unit="fraction"
    ),
    "brier_resolution": EvaluationMetric(
        PROBABILITIES,
        "… resolution",
        "The part that is subtracted, since outcomes differ between bins.",
        unit="fraction",
        better="higher",
    ),
    "brier_uncertainty": EvaluationMetric(
        PROBABILITIES,
        "… uncertainty",
        "The score of predicting the class frequencies: a property of the data, not of the model.",
        unit="fraction",
        better="neither",
    ),
    "brier_within_bin": EvaluationMetric(
        PROBABILITIES,
        "… within bins",
        "The remainder, since probabilities differ within a bin.",
        unit="fraction",
        better="neither",
    ),
    "overconfidence": EvaluationMetric(
        CALIBRATION,
        "Confidence − accuracy",
        "Mean confidence minus accuracy: above 0 over-confident, below 0 under-confident.",
        better="zero",
    ),
    "ece": EvaluationMetric(
        CALIBRATION,
        "ECE",
        "Mean distance between confidence and accuracy, over {bins} bins of equal width, norm 1.",
        core=True,
    ),
    "ece_mass": EvaluationMetric(
        CALIBRATION, "ECE, equal mass", "The same over {bins} bins of equally many rows.", core=True
    ),
    "ece_debiased": EvaluationMetric(
        CALIBRATION,
        "ECE, norm 2, debiased",
        "Root mean squared distance over {bins} bins of equal width, minus the bias of finite samples (Kumar 2019).",
    ),
    "ece_max": EvaluationMetric(CALIBRATION, "ECE, maximum", "The largest distance among {bins} bins of equal width."),
    "ece_classwise": EvaluationMetric(
        CALIBRATION,
        "ECE, class-wise",
        "Mean over the classes of the ECE of each class’s probability, {bins} bins of equal width.",
    ),
    "smooth_ece": EvaluationMetric(
        CALIBRATION,
        "Smooth ECE",
        "The distance after smoothing with a kernel instead of bins (Błasiok and Nakkiran 2023).",
        core=True,
    ),
    "aurc": EvaluationMetric(
        RANKING,
        "AURC",
        "Area under the risk-coverage curve: mean error of the most confident rows over all coverages.",
        core=True,
    ),
    "excess_aurc": EvaluationMetric(RANKING, "Excess AURC", "AURC minus that of the best ranking of the same rows."),
    "coverage_at_1": EvaluationMetric(
        RANKING, "Coverage at 1 % risk", "Largest share that can be kept with at most 1 % wrong.", better="higher"
    ),
    "coverage_at_5": EvaluationMetric(
        RANKING, "Coverage at 5 % risk", "Largest share that can be kept with at most 5 % wrong.", better="higher"
    ),
    "misclassification_auroc": EvaluationMetric(
        RANKING,
        "AUROC of errors",
        "Probability that a wrong row is less confident than a right one.",
        better="higher",
        core=True,
    ),
}
