"""The measures of the verdict."""

from dataclasses import dataclass

# Order in which measures decide, and the share of the error of 5 % that each of them has.
PRIMARY = {"accuracy": 0.03, "nll_scaled": 0.01, "ece_scaled": 0.005}
# Level of the test of a temperature; with those of PRIMARY the sum is 5 %.
TEMPERATURE_LEVEL = 0.005
# NLL, ECE and a temperature are decided if at least so many test rows are predicted wrongly by a repetition of one of
# the two methods. They depend on the confidence of wrong predictions, of which fewer rows give no idea: the interval of
# a mean of numbers that are almost all 0 excludes its true value too often.
LEAST_WRONG = 10
# Level of the intervals that are no part of the decisions by Holm's procedure.
LEVEL = 0.05


@dataclass(frozen=True)
class ComparedMeasure:
    """A measure of the test split.

    Args:
        name: its name.
        label: in words.
        unit: see :mod:`softtargets.report.numbers`.
        higher: whether high values are good.
        margin: the loss beside cross entropy that a recommended method may have, in the unit of the stored value.
    """

    name: str
    label: str
    unit: str
    higher: bool
    margin: float

    def gain(self, difference: float) -> float:
        """Return a difference with the sign of an improvement."""
        return difference if self.higher else -difference


MEASURES = {
    measure.name: measure
    for measure in (
        ComparedMeasure("accuracy", "accuracy", "percent", True, 0.005),
        ComparedMeasure("nll_scaled", "NLL after a temperature", "nats", False, 0.02),
        ComparedMeasure("ece_scaled", "ECE after a temperature", "fraction", False, 0.01),
        ComparedMeasure("aurc", "AURC", "percent", False, 0.005),
        ComparedMeasure("nll", "NLL", "nats", False, 0.02),
        ComparedMeasure("ece", "ECE", "fraction", False, 0.01),
    )
}
# Measures in which a recommended method must not be significantly worse than by the margin. The others depend on a
# temperature that every method can have.
GUARDED = ("accuracy", "nll_scaled", "ece_scaled", "aurc")
