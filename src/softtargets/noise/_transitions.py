"""Transitions by name."""

from torch import Tensor

from softtargets.matrices import Transition


def symmetric(rate: float | Tensor, num_classes: int, *, inclusive: bool = False) -> Transition:
    """Make symmetric noise.

    exclusive (default):  a label becomes one of the K - 1 others with probability `rate`, each alike
    inclusive:            a label is redrawn over all K classes with probability `rate`

    so that an exclusive rate rho is an inclusive one of alpha = rho K / (K - 1)     # Lukasik et al. 2020, Eq. 3

    Args:
        rate: a fraction in [0, 1].
        num_classes: K, at least 2.
        inclusive: which of the two `rate` is; ELR and DivideMix print inclusive rates, Patrini et al. exclusive ones.

    Returns:
        Transition in closed form.

    Raises:
        ValueError: where the rate is outside [0, 1].

    Limits:
        rate=0 is the identity; the inclusive rate of 1 makes labels that say nothing.

    Example:
        >>> symmetric(0.2, 5).to_dense()[0].tolist()
        [0.8, 0.05, 0.05, 0.05, 0.05]
        >>> round(float(symmetric(0.2, 5, inclusive=True).noise_rate()), 12)
        0.16
    """
    return Transition.symmetric(rate, num_classes, inclusive=inclusive)
