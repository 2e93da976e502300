"""The metrics of an evaluation, in the order of its page."""

from typing import Literal, NamedTuple

Better = Literal["higher", "lower", "zero", "neither"]
Unit = Literal["percent", "fraction", "nats"]

RIGHT, PROBABILITIES = "Right or wrong", "Probabilities"
CALIBRATION, RANKING = "Confidence", "Knowing when it is wrong"


class Measure(NamedTuple):
    """A metric as people know it.

    Args:
        group: of metrics that say something of the same.
        label: its name.
        unit: that it is shown in; it is stored as a fraction or in nats.
        better: which values are.
        describes: what it is; `{bins}` is filled in.
        core: whether it is also shown after temperature and as a difference between models.
    """

    group: str
    label: str
    unit: Unit
    better: Better
    describes: str
    core: bool = False


# Every metric that an evaluation may hold, in the order of the page.
MEASURES: dict[str, Measure] = {
    "accuracy": Measure(
        RIGHT, "Accuracy", "percent", "higher", "Rows whose label is the most likely class.", core=True
    ),
    "top5_accuracy": Measure(
        RIGHT,
        "Top-5 accuracy",
        "percent",
        "higher",
        "Rows whose label is among the five most likely classes.",
        core=True,
    ),
    "nll": Measure(
        PROBABILITIES,
        "NLL",
        "nats",
        "lower",
        "Mean of −log of the probability of the label; infinite where one is 0.",
        core=True,
    ),
    "brier": Measure(
        PROBABILITIES,
        "Brier score",
        "fraction",
        "lower",
        "Mean squared distance, summed over the classes, between the probabilities and the label: from 0 to 2.",
        core=True,
    ),
    "brier_reliability": Measure(
        PROBABILITIES, "… reliability", "fraction", "lower", "The part of the Brier score that comes of miscalibration."
    ),
    "brier_resolution": Measure(
        PROBABILITIES,
        "… resolution",
        "fraction",
        "higher",
        "What is taken off it, since the bins differ in their outcomes.",
    ),
    "brier_uncertainty": Measure(
        PROBABILITIES,
        "… uncertainty",
        "fraction",
        "neither",
        "The score of the shares of the classes: of the data, not the model.",
    ),
    "brier_within_bin": Measure(
        PROBABILITIES, "… within bins", "fraction", "neither", "What is left since a bin holds different probabilities."
    ),
    "overconfidence": Measure(
        CALIBRATION,
        "Confidence − accuracy",
        "percent",
        "zero",
        "Mean confidence less accuracy: above 0 over-confident, below 0 under-confident.",
    ),
    "ece": Measure(
        CALIBRATION,
        "ECE",
        "percent",
        "lower",
        "Mean distance between confidence and accuracy, over {bins} bins of equal width, norm 1.",
        core=True,
    ),
    "ece_mass": Measure(
        CALIBRATION, "ECE, equal mass", "percent", "lower", "The same over {bins} bins of equally many rows.", core=True
    ),
    "ece_debiased": Measure(
        CALIBRATION,
        "ECE, norm 2, debiased",
        "percent",
        "lower",
        "Root of the mean squared distance over {bins} bins of equal width, less what chance adds (Kumar 2019).",
    ),
    "ece_max": Measure(
        CALIBRATION, "ECE, maximum", "percent", "lower", "The distance of the worst of {bins} bins of equal width."
    ),
    "ece_classwise": Measure(
        CALIBRATION,
        "ECE, class-wise",
        "percent",
        "lower",
        "Mean over the classes of the ECE of each class’s probability, {bins} bins of equal width.",
    ),
    "smooth_ece": Measure(
        CALIBRATION,
        "Smooth ECE",
        "percent",
        "lower",
        "The distance after smoothing with a kernel in place of bins (Błasiok and Nakkiran 2023).",
        core=True,
    ),
    "aurc": Measure(
        RANKING, "AURC", "percent", "lower", "Mean error over every share of the most confident rows kept.", core=True
    ),
    "excess_aurc": Measure(
        RANKING, "Excess AURC", "percent", "lower", "AURC less what the best ranking of the same rows would have."
    ),
    "coverage_at_1": Measure(
        RANKING, "Coverage at 1 % risk", "percent", "higher", "Largest share that can be kept with at most 1 % wrong."
    ),
    "coverage_at_5": Measure(
        RANKING, "Coverage at 5 % risk", "percent", "higher", "Largest share that can be kept with at most 5 % wrong."
    ),
    "error_auroc": Measure(
        RANKING,
        "AUROC of errors",
        "percent",
        "higher",
        "How often a wrong row is less confident than a right one.",
        core=True,
    ),
}
