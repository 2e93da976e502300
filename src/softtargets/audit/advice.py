"""What an audit recommends: one fixed rule, from numbers that the page shows."""

from dataclasses import dataclass

from torch import Tensor

from softtargets.audit.evidence import Agreement
from softtargets.audit.results import Action, IntervalEstimate, Recommendation
from softtargets.noise import TransitionInterval

# Below this rate, at the upper end of its interval, labels are left alone.
FEW = 0.03
# Up to this rate labels may be dropped or relabelled by hand; beyond it too much would be lost.
MANY = 0.25
# A label with at least the probability SURE stands out; dropping requires that the share FOUND of the wrong ones does.
SURE, FOUND = 0.9, 0.5
# From these shares on wrong labels are said to go partly, or mostly, to particular classes; they decide nothing.
PARTLY, MOSTLY = 0.1, 0.5
# Up to this condition number, training with T amplifies the errors of T little enough.
STABLE = 20.0
# A row of T that is estimated from fewer labels rests on one or two wrong ones.
ENOUGH = 10
_MOST_NAMED = 10

DECISION_RULE = (
    "The rule: get better predictions where the held-out prediction agrees with no more labels than guessing the most "
    "frequent one can, at 99 % confidence. Otherwise keep the labels where the upper end of the noise rate’s interval "
    f"is below {100 * FEW:g} %. Otherwise drop and relabel where the rate is at most {100 * MANY:g} % and at least "
    f"{100 * FOUND:g} % of the wrong labels stand out with a probability of {100 * SURE:g} % or more. Otherwise "
    f"correct with T where its condition number is at most {STABLE:g} and every class has at least {ENOUGH} labels. "
    "Otherwise smooth. Asymmetry is reported and decides nothing. It is the share of the noise that T, at the lower "
    "ends of its intervals, sends to particular classes beyond symmetric noise of the same rate: 0 where a wrong label "
    "is any other class alike, 1 where it is one particular class. For two classes it is the difference of their error "
    "rates beyond their intervals, divided by the sum of the rates. Correction is preferred to smoothing by our own "
    "record of a small network on CIFAR-10 with 36 to 40 % of the labels wrong: forward correction with T by the "
    "confident joint was 1.6 to 2.4 points above cross entropy under symmetric, asymmetric and human noise, and label "
    "smoothing of 0.1 was level with it (three seeds: inconclusive)."
)


@dataclass(frozen=True)
class AdviceInputs:
    """The numbers that the rule decides by.

    Args:
        noise_rate: estimated share of wrong labels.
        asymmetry: of the estimated transition, see :func:`asymmetry_of`.
        condition: its condition number.
        sure: share of the wrong labels that have a probability of at least :data:`SURE`.
        agreement: of the held-out predictions with the labels.
        rare: names of the classes with fewer than :data:`ENOUGH` labels.
    """

    noise_rate: IntervalEstimate
    asymmetry: float
    condition: float
    sure: float
    agreement: Agreement
    rare: tuple[str, ...] = ()


# One-sided level: predictions whose agreement guessing reaches more often than this are not informative.
_LEVEL = 0.01


def advise(inputs: AdviceInputs) -> Recommendation:
    """Recommend what to do about the labels, by :data:`DECISION_RULE`, and say why."""
    rate, rare = inputs.noise_rate, inputs.rare
    action, reason = _decided(inputs)
    if rare:
        named = ", ".join(" ".join(name.split()) for name in rare[:_MOST_NAMED])
        more = f" and {len(rare) - _MOST_NAMED:,} more" if len(rare) > _MOST_NAMED else ""
        reason = (*reason, f"These classes have fewer than {ENOUGH} labels, so T says nothing of them: {named}{more}.")
    evidence = {
        "Noise rate": rate.estimate,
        "Its upper end": rate.high,
        "Share of wrong labels that stand out": inputs.sure,
        "Asymmetry of T": inputs.asymmetry,
        "Condition of T": inputs.condition,
        "Held-out agreement": inputs.agreement.share,
        "Share of the most frequent label": inputs.agreement.largest,
        "Classes with too few labels": float(len(rare)),
    }
    return Recommendation(action, reason, evidence, DECISION_RULE)


def _decided(inputs: AdviceInputs) -> tuple[Action, tuple[str, ...]]:
    rate, agreement = inputs.noise_rate, inputs.agreement
    if agreement.by_chance > _LEVEL:
        return "get better predictions", (
            f"The held-out prediction agrees with {_percent(agreement.share)} of the labels, and always guessing the "
            f"most frequent one with {_percent(agreement.largest)}: it is not shown to be better than a guess, and "
            "what follows from it is no evidence.",
            "First check that the columns of the probabilities are in the order of the classes: other orders look the "
            "same. Otherwise train longer, on more examples, or train another model.",
        )
    said = f"The estimated noise rate is {_percent(rate.estimate)}"
    if rate.high < FEW:
        return "keep", (
            f"{said}: too low for any method to gain much.",
            "Check the first suspects by hand, if there are any, and train on the labels as they are.",
        )
    if rate.estimate <= MANY and inputs.sure >= FOUND:
        return "drop and relabel", (
            f"{said}, and {_percent(inputs.sure)} of the wrong labels stand out, with a probability of "
            f"{100 * SURE:g} %.",
            "Relabel those suspects by hand, or drop them: this removes most of the noise and few of the examples.",
        )
    go = "mostly go" if inputs.asymmetry >= MOSTLY else "partly go"
    shown = go if inputs.asymmetry >= PARTLY else "are not shown to go"
    spread = f"{said}, and wrong labels {shown} to particular classes (asymmetry {inputs.asymmetry:.2f})."
    if inputs.condition <= STABLE and not inputs.rare:
        return "correct with T", (
            spread,
            f"Train with forward correction by the estimated T, which is well conditioned ({inputs.condition:.1f}).",
        )
    if inputs.condition > STABLE:
        why = f"T is ill-conditioned ({inputs.condition:.0f}), so a correction amplifies the errors of T."
    else:
        why = "T is not known for every class, so it cannot be used for a correction."
    return "smooth", (
        spread,
        f"{why} Label smoothing is often competitive with a correction (Lukasik et al. 2020, Sec. 4): try 0.1 to 0.4, "
        "chosen on held-out labels.",
    )


def asymmetry_of(interval: TransitionInterval, class_prior: Tensor) -> float:
    """Return the share of the noise that goes to particular classes beyond chance, in [0, 1]; 0 without noise.

    sum_k prior_k sum_{o != k} max(low[k, o] - rate / (K - 1), 0) / (rate (K - 2) / (K - 1))

    so that pair flips give 1 for every K > 2. With two classes every wrong label goes to the only other class: there it
    is the gap between the intervals of the two error rates, divided by the sum of the rates.

    The lower ends are used instead of T itself, because few wrong labels over many classes coincide by chance.
    """
    rate, size = interval.noise_rate, len(class_prior)
    if rate <= 0:
        return 0.0
    if size == 2:
        low, high, matrix = interval.low, interval.high, interval.estimate.to_dense()
        gap = max(float(low[0, 1] - high[1, 0]), float(low[1, 0] - high[0, 1]), 0.0)
        return gap / float(matrix[0, 1] + matrix[1, 0])
    excess = (interval.low - rate / (size - 1)).clamp(min=0).fill_diagonal_(0)
    share = float((class_prior * excess.sum(1)).sum()) / rate
    # above 1 where only a few classes are noisy
    return min(share * (size - 1) / (size - 2), 1.0)


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"
