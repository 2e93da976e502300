"""What an audit recommends: one fixed rule, from numbers that the page shows."""

from torch import Tensor

from softtargets.noise import TransitionInterval
from softtargets.report.audit_results import Interval, Recommendation

# Up to this rate, by the upper end of its interval, labels are left alone.
FEW = 0.03
# Up to this rate labels may be dropped or looked at one by one; beyond it too much would be lost.
MANY = 0.25
# From this probability on a label surely is wrong, and dropping asks that this share of the wrong ones surely are.
SURE, FOUND = 0.9, 0.5
# From this share on the classes that labels go to tell more than the rate.
ASYMMETRIC = 0.4
# Up to this condition number a correction with T amplifies what T is off by little enough.
STABLE = 20.0

RULE = (
    f"The rule: keep where the noise rate is below {100 * FEW:g} % at the upper end of its interval. Else drop and "
    f"relabel where it is at most {100 * MANY:g} % and at least {100 * FOUND:g} % of the wrong labels stand out with a "
    f"probability of {100 * SURE:g} % or more. Else correct with T where its asymmetry is at least {ASYMMETRIC:g} and "
    f"its condition number at most {STABLE:g}. Else smooth. Asymmetry is the share of the noise that T, at the lower "
    "ends of its intervals, sends to a class beyond what symmetric noise of the same rate would: 0 where a wrong label "
    "is any other class alike, near 1 where it is one particular class."
)


def advise(noise_rate: Interval, asymmetry: float, condition: float, sure: float, num_classes: int) -> Recommendation:
    """Recommend what to do about the labels, by :data:`RULE`.

    Args:
        noise_rate: estimated share of wrong labels.
        asymmetry: of the estimated transition, see :func:`asymmetry_of`.
        condition: its condition number.
        sure: share of the wrong labels that have a probability of at least :data:`SURE`.
        num_classes: K.

    Returns:
        Recommendation, with its reason in plain words.
    """
    evidence = {
        "Noise rate": noise_rate.estimate,
        "Its upper end": noise_rate.high,
        "Share of wrong labels that stand out": sure,
        "Asymmetry of T": asymmetry,
        "Condition of T": condition,
    }
    rate = f"The estimated noise rate is {_percent(noise_rate.estimate)}"
    if noise_rate.high < FEW:
        reason = (
            f"{rate}: too low for any method to gain much by it.",
            "Look at the first suspects by hand, if there are any, and train on the labels as they are.",
        )
        return Recommendation("keep", reason, evidence, RULE)
    if noise_rate.estimate <= MANY and sure >= FOUND:
        reason = (
            f"{rate}, and {_percent(sure)} of the wrong labels stand out, with a probability of {100 * SURE:g} %.",
            "Relabel those suspects by hand, or drop them: most of the noise goes with few of the examples.",
        )
        return Recommendation("drop and relabel", reason, evidence, RULE)
    if asymmetry >= ASYMMETRIC and condition <= STABLE:
        reason = (
            f"{rate}, and wrong labels go to particular classes (asymmetry {asymmetry:.2f}): smoothing cannot undo it.",
            f"Train with the forward correction by the estimated T, which is well conditioned ({condition:.1f}).",
        )
        return Recommendation("correct with T", reason, evidence, RULE)
    if asymmetry < ASYMMETRIC:
        why = (
            f"wrong labels spread over the other classes (asymmetry {asymmetry:.2f}), for which smoothing does what a "
            "correction with T does"
        )
    else:
        why = f"T is too ill-conditioned to correct with (condition {condition:.0f}): that would amplify its own error"
    smoothing = min(1.0, noise_rate.estimate * num_classes / (num_classes - 1))
    reason = (
        f"{rate}, and {why}.",
        f"Train with label smoothing; {smoothing:.2f} is the smoothing that goes with symmetric noise of this rate.",
    )
    return Recommendation("smooth", reason, evidence, RULE)


def asymmetry_of(interval: TransitionInterval, class_prior: Tensor) -> float:
    """Return the share of the noise that surely goes to particular classes, a fraction; 0 without noise.

    sum_k prior_k sum_{o != k} max(low[k, o] - rate / (K - 1), 0) / rate

    The lower ends stand for T itself: few wrong labels spread over many classes fall together here and there by chance.
    """
    rate = interval.noise_rate
    if rate <= 0:
        return 0.0
    excess = (interval.low - rate / (len(class_prior) - 1)).clamp(min=0).fill_diagonal_(0)
    return float((class_prior * excess.sum(1)).sum()) / rate


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"
