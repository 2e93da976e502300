"""Figure 1 of Lukasik et al. 2020: exact losses of one example as functions of its score."""

from dataclasses import dataclass

import torch

from softtargets import losses, noise, targets
from softtargets.studies.outputs.curves import Curve, ExactCurves
from softtargets.studies.outputs.kind import output_kind

# Scores from -4 to 10, the range of Fig. 1 of the paper, in steps of 1/20.
FIRST, LAST, STEPS = -80, 200, 20


@output_kind("curves")
@dataclass(frozen=True)
class LossCurves(ExactCurves):
    """Label smoothing, backward and forward correction of the logistic loss (Lukasik et al. 2020, Fig. 1), exact."""

    arms = ("LS", "BC", "FC")

    @classmethod
    def curve(cls, arm: str, rate: float) -> Curve:
        """Return the loss of class 1 as a function of its score.

        The score f is the logit of class 1; the logit of the other class is 0. The noise rate rho determines the
        symmetric noise and the corresponding smoothing alpha = rho L / (L - 1), L = 2.

        Args:
            arm: one of `arms`.
            rate: exclusive noise rate, in [0, 1/2).
        """
        score = torch.arange(FIRST, LAST + 1, dtype=torch.float64) / STEPS
        logits = torch.stack([score, torch.zeros_like(score)], -1)
        labels = torch.zeros(len(score), dtype=torch.int64)
        transition = noise.symmetric(rate, 2)
        if arm == "LS":
            loss = losses.cross_entropy(logits, targets.smooth(labels, transition.redraw))
        elif arm == "BC":
            loss = losses.backward_corrected_cross_entropy(logits, labels, transition)
        else:
            loss = losses.forward_corrected_cross_entropy(logits, labels, transition)
        return Curve(arm, rate, tuple(score.tolist()), tuple(loss.tolist()))
