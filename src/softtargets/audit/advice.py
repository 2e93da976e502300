"""The recommendation of an audit: one fixed rule based on numbers that the page shows."""

from dataclasses import dataclass

from torch import Tensor

from softtargets.audit.estimates import IntervalEstimate
from softtargets.audit.evidence import Agreement
from softtargets.audit.results import Action, PairedCheck, Recommendation
from softtargets.noise import TransitionInterval

# If the lower end of the range of the noise rate is below this, noise is not established and the labels are kept.
FEW = 0.01
# Without a paired check, labels are dropped up to this rate; above it, too many examples might be lost.
MANY = 0.25
# A wrong label is detected if its probability of being wrong is at least SURE; these are the labels that are dropped.
# Without a paired check, dropping requires that the share FOUND of the wrong labels is detected.
SURE, FOUND = 0.75, 0.5
# Below this estimated accuracy, the model is too weak to judge the labels.
WEAK = 0.6
# Smallest asymmetry at which wrong labels are described as partly, or mostly, going to particular classes.
PARTLY, MOSTLY = 0.1, 0.5
# Largest condition number at which a correction with T amplifies the errors of T only moderately.
STABLE = 20.0
# Smallest number of labels of a class for estimating its row of T.
ENOUGH = 10
_MOST_NAMED = 10

DECISION_RULE = (
    "Rule: (1) Get better predictions unless the held-out predictions agree with significantly more labels (at "
    "the 1 % level) than always predicting the most frequent label. (2) Otherwise, if it was checked whether training "
    f"without the labels that are wrong with a probability of {100 * SURE:g} % or more helps: drop and relabel them if "
    "the 95 % interval of the gain in accuracy is above 0. Without this check: drop and relabel them if the rate can "
    f"be told, the lower end of its range is at least {100 * FEW:g} %, the rate is at most {100 * MANY:g} %, and at "
    f"least {100 * FOUND:g} % of the wrong labels have such a probability. (3) Otherwise compare corrections if the "
    f"rate can be told, the lower end of its range is at least {100 * FEW:g} %, and there are suspects. (4) Otherwise "
    "keep the labels. A correction of the loss is never recommended without a comparison. The asymmetry is reported "
    "but not used. It is the share of the noise that exceeds symmetric noise of the same rate, computed from the lower "
    "ends of the intervals of T: 0 if a wrong label is equally likely to be any other class, 1 if it is always one "
    "particular class. For two classes it is the gap between the intervals of the two error rates, divided by the sum "
    "of the rates."
)


@dataclass(frozen=True)
class AdviceInputs:
    """The numbers on which the rule is based.

    Args:
        noise_rate: estimated share of wrong labels, with its range.
        told: whether the range is narrow enough to tell the rate.
        suspects: number of suspects.
        accuracy: estimated accuracy of the predictions on the clean labels.
        asymmetry: asymmetry of the estimated transition, see :func:`asymmetry_of`.
        condition: condition number of the estimated transition.
        sure: share of the wrong labels whose probability of being wrong is at least :data:`SURE`.
        agreement: agreement of the held-out predictions with the labels.
        check: whether training without the suspects helps; None if that was not checked.
        unchecked: why it was not checked, one sentence; empty if it was, or if there is nothing to check.
        rare: names of the classes with fewer than :data:`ENOUGH` labels.
    """

    noise_rate: IntervalEstimate
    told: bool
    suspects: int
    accuracy: float
    asymmetry: float
    condition: float
    sure: float
    agreement: Agreement
    check: PairedCheck | None = None
    unchecked: str = ""
    rare: tuple[str, ...] = ()


# Level of the one-sided test of whether the predictions are better than guessing.
_LEVEL = 0.01


def advise(inputs: AdviceInputs) -> Recommendation:
    """Return the recommendation according to :data:`DECISION_RULE`, with reasons."""
    rate, rare = inputs.noise_rate, inputs.rare
    action, reason = _decided(inputs)
    if inputs.unchecked and action != "get better predictions":
        reason = (*reason, f"It was not checked whether training without the suspects helps: {inputs.unchecked}")
    if rare:
        named = ", ".join(" ".join(name.split()) for name in rare[:_MOST_NAMED])
        more = f" and {len(rare) - _MOST_NAMED:,} more" if len(rare) > _MOST_NAMED else ""
        reason = (
            *reason,
            f"T is not estimated for these classes, which have fewer than {ENOUGH} labels: {named}{more}.",
        )
    evidence = {
        "Noise rate": rate.estimate,
        "Lower end of its range": rate.low,
        "Upper end of its range": rate.high,
        "Suspects": float(inputs.suspects),
        "Estimated accuracy of the predictions": inputs.accuracy,
        "Share of wrong labels detected": inputs.sure,
        "Asymmetry of T": inputs.asymmetry,
        "Condition number of T": inputs.condition,
        "Held-out agreement": inputs.agreement.share,
        "Share of the most frequent label": inputs.agreement.largest,
        "Classes with too few labels": float(len(rare)),
    }
    if inputs.check is not None:
        gain = inputs.check.gain
        evidence |= {
            "Gain in accuracy without the suspects": gain.estimate,
            "Lower end of the gain": gain.low,
            "Upper end of the gain": gain.high,
        }
    return Recommendation(action, reason, evidence, DECISION_RULE)


def _decided(inputs: AdviceInputs) -> tuple[Action, tuple[str, ...]]:
    rate, agreement = inputs.noise_rate, inputs.agreement
    if agreement.by_chance > _LEVEL:
        return "get better predictions", (
            f"The held-out predictions agree with {_percent(agreement.share)} of the labels; always predicting the "
            f"most frequent label agrees with {_percent(agreement.largest)}. The predictions are not significantly "
            "better than guessing, so the estimates based on them are not valid.",
            "First check that the columns of the probabilities are in the order of the classes. Otherwise train "
            "longer, on more examples, or another model.",
        )
    said = _said(inputs)
    if inputs.check is not None and inputs.suspects:
        checked = _checked(inputs.check)
        if inputs.check.helps:
            return "drop and relabel", (
                f"{said} {checked}",
                "Relabel these suspects by hand, or drop them.",
            )
        said = f"{said} {checked}"
    established = inputs.told and rate.low >= FEW and inputs.suspects > 0
    if established and inputs.check is None and rate.estimate <= MANY and inputs.sure >= FOUND:
        return "drop and relabel", (
            f"{said} {_percent(inputs.sure)} of the wrong labels are detected with a probability of at least "
            f"{100 * SURE:g} %.",
            "Relabel these suspects by hand, or drop them. This removes most of the noise and few of the examples.",
        )
    if established:
        return "compare corrections", (said, _spread(inputs), _candidates(inputs))
    if not inputs.told:
        return "keep", (
            said,
            "A better model, or about 200 labels that are checked by hand, can show it. Before anything is changed, "
            "check the first suspects by hand.",
        )
    first = "Check the first suspects by hand, and train" if inputs.suspects else "Train"
    return "keep", (said, f"{first} on the labels as they are.")


def _said(inputs: AdviceInputs) -> str:
    rate = inputs.noise_rate
    if not inputs.told:
        return (
            f"The noise rate cannot be told: it lies between {_percent(rate.low)} and {_percent(rate.high)}. Where the "
            f"model contradicts a label, either of them may be wrong.{_weakness(inputs)}"
        )
    said = f"The estimated noise rate is {_percent(rate.estimate)}."
    if not inputs.suspects:
        return f"{said} No label is probably wrong; the range ends at {_percent(rate.high)}."
    if rate.low < FEW:
        return f"{said} Errors of the model may explain all of it: the range starts at {_percent(rate.low)}."
    return said


def _checked(check: PairedCheck) -> str:
    gain = check.gain
    found = "helps" if check.helps else "harms" if gain.high < 0 else "makes no difference that can be told"
    return (
        f"Training without the {_percent(check.dropped)} of the labels that are most probably wrong {found}: the "
        f"accuracy on the labels of held-out rows changes by {100 * gain.estimate:+.1f} points (95 % interval "
        f"{100 * gain.low:+.1f} to {100 * gain.high:+.1f})."
    )


def _spread(inputs: AdviceInputs) -> str:
    go = "mostly go" if inputs.asymmetry >= MOSTLY else "partly go"
    shown = go if inputs.asymmetry >= PARTLY else "do not detectably go"
    return f"Wrong labels {shown} to particular classes (asymmetry {inputs.asymmetry:.2f})."


def _candidates(inputs: AdviceInputs) -> str:
    if inputs.condition > STABLE:
        forward = f"T is ill-conditioned ({inputs.condition:.0f}), so a correction would amplify the errors of T."
    elif inputs.rare:
        forward = "T is not estimated for every class, so it cannot be used for a correction."
    else:
        return (
            f"Compare forward correction with the estimated T, which is well-conditioned ({inputs.condition:.1f}), "
            "label smoothing and robust losses with cross entropy on held-out labels, as `softtargets compare` does."
        )
    return (
        f"{forward} Compare label smoothing and robust losses with cross entropy on held-out labels, as `softtargets "
        "compare` does."
    )


def _weakness(inputs: AdviceInputs) -> str:
    if inputs.accuracy < WEAK:
        return f" It is too weak to judge: its estimated accuracy is {_percent(inputs.accuracy)}."
    # a model that is wrong by itself agrees with few labels as well
    least = inputs.agreement.share / (1 - inputs.noise_rate.low)
    if least < WEAK:
        low = _percent(inputs.noise_rate.low)
        return (
            f" It may be too weak to judge: if {low} of the labels are wrong, its accuracy is about {_percent(least)}."
        )
    return ""


def asymmetry_of(interval: TransitionInterval, class_prior: Tensor) -> float:
    """Return the share of the noise that exceeds symmetric noise of the same rate, in [0, 1]; 0 without noise.

    sum_k prior_k sum_{o != k} max(low[k, o] - rate / (K - 1), 0) / (rate (K - 2) / (K - 1))

    Pair flips give 1 for every K > 2. With two classes, every wrong label goes to the only other class; there it is the
    gap between the intervals of the two error rates, divided by the sum of the rates.

    The lower ends are used instead of T itself, because a few wrong labels among many classes coincide by chance.
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
    # it exceeds 1 if only a few classes are noisy
    return min(share * (size - 1) / (size - 2), 1.0)


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"
