"""Figure 3 of Shen et al. 2021: the logistic loss with label smoothing, exact."""

from dataclasses import dataclass

import torch

from softtargets import losses, targets
from softtargets._errors import fail
from softtargets.report import numbers
from softtargets.studies.outputs.curves import Curve, ExactCurves
from softtargets.studies.outputs.kind import output_kind
from softtargets.studies.schema import Output, Study

# Scores from -10 to 10 in steps of 1/10.
REACH, STEPS = 100, 10


@output_kind("logistic")
@dataclass(frozen=True)
class SmoothedLogistic(ExactCurves):
    """The binary cross entropy with smoothed labels, one curve for each level."""

    arms = ("logistic",)

    @classmethod
    def curve(cls, arm: str, rate: float) -> Curve:
        """Return the loss of the positive class as a function of its score.

        (1 - alpha) log(1 + exp(-f)) + alpha log(1 + exp(f))        # Eq. 1 with K = 2

        Args:
            arm: "logistic".
            rate: alpha, in [0, 1].
        """
        score = torch.arange(-REACH, REACH + 1, dtype=torch.float64) / STEPS
        logits = torch.stack([score, torch.zeros_like(score)], -1)
        labels = torch.zeros(len(score), dtype=torch.int64)
        loss = losses.cross_entropy(logits, targets.smooth(labels, rate, convention="others", num_classes=2))
        return Curve(arm, rate, tuple(score.tolist()), tuple(loss.tolist()))

    @classmethod
    def rates(cls, output: Output) -> list[float]:
        """Return the values of alpha."""
        return [] if isinstance(output.levels, str) else list(output.levels)

    @classmethod
    def rate_label(cls, rate: float) -> str:
        """Return the label of a curve."""
        return f"α = {numbers.level(rate)}"

    @classmethod
    def title(cls, study: Study, arm: str) -> str:
        """Return no title, because there is one panel."""
        return ""

    @classmethod
    def check(cls, place: str, output: Output, study: Study) -> None:
        """Require numbers as levels."""
        if isinstance(output.levels, str) or not output.levels:
            raise fail(f"{place}.levels", "values of α, for curves", repr(output.levels), "give numbers")
