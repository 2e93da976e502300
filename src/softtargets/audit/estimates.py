"""From held-out probabilities to what is wrong with the labels: T, its rate, scores, suspects and cuts."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from softtargets import noise
from softtargets.audit.results import (
    ClassRow,
    Confusion,
    Cut,
    Estimate,
    Interval,
    Reference,
    Score,
    Suspects,
)
from softtargets.matrices import Transition
from softtargets.metrics import auroc
from softtargets.noise import ConfidentJoint, ExpectedWrong, TransitionInterval

Stage = Callable[[str, float], None]
Estimator = Callable[[Tensor, Tensor], Transition | ConfidentJoint]

CONFIDENCE = 0.95
DRAWS = 100
PRECISION_AT = 200
MOST_CONFUSED = 20
# Steps of the label posterior, few: the last ones fit what the model is wrong by, and make it too sure of itself.
ROUNDS = 5
CURVE_POINTS = 100
_ROWS = 100_000

# name -> label, (probs, labels) -> the estimate
ESTIMATORS: dict[str, tuple[str, Estimator]] = {
    "confident_joint": ("the confident joint", noise.confident_joint),
    "anchor_counts": ("anchor counts", noise.anchor_counts),
    "dual_t": ("dual-T", noise.dual_t),
    "anchor_points": ("anchor points", lambda probs, labels: noise.anchor_points(probs)),
    "anchor_points_97": (
        "anchor points, 97th percentile",
        lambda probs, labels: noise.anchor_points(probs, percentile=97.0),
    ),
}
CHOSEN = "confident_joint"
CHOSEN_BECAUSE = (
    "the same for every audit. Unlike the others it asks neither that the probabilities are calibrated nor that every "
    "class has examples that are of it for certain. What the model confuses by itself it counts as noise too."
)
RANKING = "label_posterior"
SCORES: dict[str, tuple[str, str]] = {
    "label_posterior": (
        "label posterior under T",
        "Probability that the label is the true one, by the prediction and T.",
    ),
    "self_confidence": ("self-confidence", "Predicted probability of the given label."),
    "normalized_margin": ("normalised margin", "How far the given label is ahead of the best other one, from 0 to 1."),
    "confident_joint": (
        "confident-joint selection",
        "Self-confidence, with 1 taken off where the prediction is confident of another class.",
    ),
    "area_under_margin": (
        "area under the margin",
        "Mean margin of the given label over the epochs of training, in logits.",
    ),
    "forgetting": ("forgetting", "Minus how often training unlearned the given label."),
    "early_agreement": ("early agreement", "Share of the first epochs that predicted the given label."),
}


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of every label that is audited.

    Args:
        probs: (N, K) float, held-out probabilities of the observed label.
        labels: (N,) int64, observed.
        rows: (N,) int64, what each row is called.
        class_names: one for each class.
        dynamics: (N,) by name, from training, where there is any.
        reference: (N,) int64 labels that judge the audit, or None.
    """

    probs: Tensor
    labels: Tensor
    rows: Tensor
    class_names: tuple[str, ...]
    dynamics: dict[str, Tensor] = field(default_factory=dict)
    reference: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Findings:
    """What the audit says; the reference has entered nothing but `distance` of estimates, and judgements of scores.

    `largest` is the share of the most frequent label, `guessed` the probability that guessing it by that share agrees
    with as many labels as the held-out prediction, whose share is `accuracy`.
    """

    interval: TransitionInterval
    prior: Tensor
    estimates: tuple[Estimate, ...]
    scores: tuple[Score, ...]
    suspects: Suspects
    cuts: tuple[Cut, ...]
    classes: tuple[ClassRow, ...]
    confusions: tuple[Confusion, ...]
    reference: Reference | None
    accuracy: float
    largest: float
    guessed: float
    sure: float


def examine(evidence: Evidence, *, seed: int, sure_from: float, on_stage: Stage) -> Findings:
    """Estimate how the labels are wrong, score each of them and rank the suspects.

    Args:
        evidence: of N labels.
        seed: of the bootstrap.
        sure_from: probability from which on a label is surely wrong.
        on_stage: told what is being done and how far that is, a fraction.
    """
    size = len(evidence.labels)
    judged = _judge(evidence)
    interval = _bootstrap(evidence, seed, on_stage)
    joint = noise.confident_joint(evidence.probs, evidence.labels)
    prior = joint.class_prior
    estimates = tuple(_estimates(evidence, prior, judged, on_stage))
    quality = dict(_score(evidence, joint, interval.estimate, prior, on_stage))
    on_stage("ranking", 0.0)
    order = noise.suspect_order(quality[RANKING])
    expected = noise.expected_wrong(
        # Nothing that N examples show is surer than one in N: certain ones would stand whatever the noise rate is.
        (1 - quality["label_posterior"].double()).clamp(0.5 / size, 1 - 0.5 / size),
        order,
        noise_rate=interval.noise_rate,
        noise_rate_interval=(interval.noise_rate_low, interval.noise_rate_high),
        confidence=CONFIDENCE,
    )
    wrong = expected.expected.diff(prepend=torch.zeros(1, dtype=torch.float64)).clamp(0, 1)
    suspects, found = _suspects(evidence, quality, order, wrong)
    on_stage("ranking", 1.0)
    agreed = _agreed(evidence)
    largest = int(torch.bincount(evidence.labels).max())
    return Findings(
        interval=interval,
        prior=prior,
        estimates=estimates,
        scores=tuple(_judged_score(name, values, evidence) for name, values in quality.items()),
        suspects=suspects,
        cuts=tuple(_cuts(expected, order, evidence)),
        classes=tuple(_classes(interval.estimate, prior, evidence.labels, found)),
        confusions=tuple(_confusions(interval, prior, size)),
        reference=judged,
        accuracy=agreed / size,
        largest=largest / size,
        guessed=_guessed(agreed, largest / size, size),
        sure=float(wrong[wrong >= sure_from].sum() / wrong.sum().clamp(min=torch.finfo(wrong.dtype).tiny)),
    )


def _judge(evidence: Evidence) -> Reference | None:
    if evidence.reference is None:
        return None
    size = len(evidence.class_names)
    counts = torch.bincount(evidence.reference * size + evidence.labels, minlength=size * size).view(size, size)
    rate = float((evidence.reference != evidence.labels).double().mean())
    return Reference(rate, noise.from_confusion(counts))


def _bootstrap(evidence: Evidence, seed: int, on_stage: Stage) -> TransitionInterval:
    """Estimate T as everything goes by it, with intervals."""
    on_stage("estimating T", 0.0)
    return noise.bootstrap_transition(
        ESTIMATORS[CHOSEN][1],
        evidence.probs,
        evidence.labels,
        draws=DRAWS,
        confidence=CONFIDENCE,
        generator=torch.Generator().manual_seed(seed),
    )


def _estimates(evidence: Evidence, prior: Tensor, judged: Reference | None, on_stage: Stage) -> Iterator[Estimate]:
    """Yield what every estimator says of T."""
    for done, (name, (label, estimator)) in enumerate(ESTIMATORS.items(), start=1):
        found = estimator(evidence.probs, evidence.labels)
        transition = found.transition if isinstance(found, ConfidentJoint) else found
        yield Estimate(
            name=name,
            label=label,
            transition=transition,
            noise_rate=float(transition.noise_rate(prior)),
            condition=transition.condition(),
            distance=tuple(transition.total_variation(judged.transition).tolist()) if judged else None,
        )
        on_stage("estimating T", done / len(ESTIMATORS))


def _score(
    evidence: Evidence, joint: ConfidentJoint, transition: Transition, prior: Tensor, on_stage: Stage
) -> Iterator[tuple[str, Tensor]]:
    """Yield each score, low where suspect, as float32."""
    probs, labels = evidence.probs, evidence.labels
    posterior = []
    for start in range(0, len(labels), _ROWS):
        on_stage("scoring", start / len(labels))
        rows = slice(start, start + _ROWS)
        found = noise.label_posterior(probs[rows], labels[rows], transition, class_prior=prior, rounds=ROUNDS)
        posterior.append(found.float())
    yield "label_posterior", torch.cat(posterior)
    confidence = noise.self_confidence(probs, labels).float()
    yield "self_confidence", confidence
    yield "normalized_margin", noise.normalized_margin(probs, labels).float()
    yield "confident_joint", confidence - noise.confident_suspects(probs, labels, joint).float()
    for name, values in evidence.dynamics.items():
        yield name, (-values if name == "forgetting" else values).float()
    on_stage("scoring", 1.0)


def _judged_score(name: str, values: Tensor, evidence: Evidence) -> Score:
    label, describes = SCORES[name]
    if evidence.reference is None:
        return Score(name, label, describes)
    wrong = evidence.reference != evidence.labels
    precision = float(wrong[noise.suspect_order(values)[:PRECISION_AT]].double().mean())
    # where nothing, or everything, is wrong there is nothing to rank
    ranked = float(auroc(-values, wrong)) if 0 < int(wrong.sum()) < len(wrong) else None
    return Score(name, label, describes, ranked, precision)


def _suspects(evidence: Evidence, quality: dict[str, Tensor], order: Tensor, wrong: Tensor) -> tuple[Suspects, Tensor]:
    """Return the labels more likely wrong than right, in order, and which rows of the evidence they are."""
    chosen = wrong > 0.5
    found = order[chosen]
    given = evidence.labels[found]
    suggested = [
        # of a view: the given label leaves the choice, whatever its probability
        evidence.probs[part].scatter(1, labels[:, None], -1.0).argmax(1)
        for part, labels in zip(found.split(_ROWS), given.split(_ROWS), strict=True)
    ]
    reference = None if evidence.reference is None else evidence.reference[found]
    return Suspects(
        rows=evidence.rows[found],
        given=given,
        suggested=torch.cat(suggested),
        wrong=wrong[chosen].float(),
        scores={name: values[found] for name, values in quality.items()},
        reference=reference,
    ), found


def _cuts(expected: ExpectedWrong, order: Tensor, evidence: Evidence) -> Iterator[Cut]:
    size = len(order)
    round_ones = {step * 10**power for power in range(1, 12) for step in (1, 2, 5) if step * 10**power < size}
    even = {round(size * point / CURVE_POINTS) for point in range(1, CURVE_POINTS + 1)}
    true = None
    if evidence.reference is not None:
        true = (evidence.reference != evidence.labels)[order].cumsum(0)
    for first in sorted((round_ones | even | {1}) - {0}):
        ends = [float(values[first - 1]) for values in (expected.expected, expected.low, expected.high)]
        yield Cut(first, Interval(*ends), None if true is None else int(true[first - 1]))


def _classes(transition: Transition, prior: Tensor, labels: Tensor, suspects: Tensor) -> Iterator[ClassRow]:
    matrix = transition.to_dense()
    size = len(matrix)
    joint = prior[:, None] * matrix
    observed = torch.bincount(labels, minlength=size).tolist()
    suspected = torch.bincount(labels[suspects], minlength=size).tolist()
    for k in range(size):
        labelled = float(joint[:, k].sum())
        yield ClassRow(
            observed=observed[k],
            clean=float(prior[k]) * len(labels),
            wrong=1 - float(joint[k, k]) / labelled if labelled > 0 else 0.0,
            lost=1 - float(matrix[k, k]),
            suspects=suspected[k],
        )


def _confusions(interval: TransitionInterval, prior: Tensor, size: int) -> Iterator[Confusion]:
    """Yield the pairs with the most examples, with the shares of the classes held fixed."""
    counts, low, high = (prior[:, None] * m * size for m in (interval.estimate.to_dense(), interval.low, interval.high))
    counts = counts.clone().fill_diagonal_(0)
    classes = len(prior)
    for place in counts.flatten().argsort(descending=True, stable=True)[:MOST_CONFUSED].tolist():
        clean, observed = divmod(place, classes)
        if round(float(counts[clean, observed])) > 0:
            ends = [float(values[clean, observed]) for values in (counts, low, high)]
            yield Confusion(clean, observed, Interval(*ends))


def _agreed(evidence: Evidence) -> int:
    return sum(
        int((probs.argmax(1) == labels).sum())
        for probs, labels in zip(evidence.probs.split(_ROWS), evidence.labels.split(_ROWS), strict=True)
    )


def _guessed(agreed: int, share: float, size: int) -> float:
    """Return the probability that of `size` guesses, each right with probability `share`, at least `agreed` are."""
    guesses = torch.distributions.Binomial(size, torch.tensor(share, dtype=torch.float64))
    return float(guesses.log_prob(torch.arange(agreed, size + 1, dtype=torch.float64)).logsumexp(0).exp())
