"""What a study shows without training: exact curves."""

from softtargets.studies.results import Curve

# Scores from -4 to 10, the range of the paper's Fig. 1, in twentieths.
FIRST, LAST, STEPS = -80, 200, 20


def loss_curves(rates: tuple[float, ...]) -> tuple[Curve, ...]:
    """Label smoothing, backward and forward correction of the logistic loss (Lukasik et al. 2020, Fig. 1), exact.

    The score f of class 1 is its logit, against 0 for the other class. Each noise rate rho stands for the symmetric
    noise of that rate and for the smoothing alpha = rho L / (L - 1) that goes with it, L = 2.

    Args:
        rates: exclusive noise rates, in [0, 1/2).
    """
    import torch

    from softtargets import losses, noise, targets

    score = torch.arange(FIRST, LAST + 1, dtype=torch.float64) / STEPS
    logits = torch.stack([score, torch.zeros_like(score)], -1)
    labels = torch.zeros(len(score), dtype=torch.int64)
    curves: list[Curve] = []
    for rate in rates:
        transition = noise.symmetric(rate, 2)
        by_arm = {
            "LS": losses.cross_entropy(logits, targets.smooth(labels, transition.redraw)),
            "BC": losses.backward_corrected_cross_entropy(logits, labels, transition),
            "FC": losses.forward_corrected_cross_entropy(logits, labels, transition),
        }
        curves += [Curve(arm, rate, tuple(score.tolist()), tuple(loss.tolist())) for arm, loss in by_arm.items()]
    return tuple(curves)
