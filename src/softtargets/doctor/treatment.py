"""What happens to ignored labels, accumulated micro-batches, mixed examples and validation data, with numbers."""

from dataclasses import dataclass

import torch

from softtargets import losses
from softtargets.doctor.criterion import Criterion, Division
from softtargets.doctor.targets import MIXED, mixed_targets

# Labels that count in the micro-batches of the example of accumulation, and the sequences that these are in.
LABELS = (3, 1)
SENTENCES = (1, 1)
# The share of positive labels at which the effect of positive weights is shown.
PREVALENCE = 0.1


@dataclass(frozen=True)
class Statement:
    """A sentence on one topic."""

    topic: str
    text: str


def statements(criterion: Criterion) -> tuple[Statement, ...]:
    """Return what the configuration does beyond the target of one label."""
    found = {
        "inputs": f"The loss takes {criterion.inputs}.",
        "mean": _mean(criterion),
        "weights": _binary_weights(criterion),
        "ignored labels": _ignored(criterion),
        "accumulation": _accumulation(criterion),
        "mixup and CutMix": _mixing(criterion),
        "validation": _validation(criterion),
    }
    return tuple(Statement(topic, text) for topic, text in found.items() if text)


def _mean(c: Criterion) -> str:
    if c.reduction == "sum":
        of = "the means over the classes of each example" if c.over_classes == "mean" else "the examples that count"
        return f"The loss is the sum over {of}."
    if c.reduction == "none":
        return _unreduced(c)
    if c.num_classes == 1:
        return "The mean is over the examples."
    return {
        "examples": "The mean is over the examples that count.",
        "weights": "The mean of labels divides by the sum of the weights of their classes.",
        "elements": f"The mean is over examples and classes: each example has {c.share} of its summed loss.",
    }[c.over]


def _unreduced(c: Criterion) -> str:
    if c.over_classes == "none":
        return "There is one loss for each example and class, (N, K)."
    return "There is one loss per example" + (", the mean over its classes." if c.over_classes == "mean" else ".")


def learned(weight: float, prevalence: float) -> float:
    """Return the probability at which a binary loss is least, if a share of the labels is positive.

    Args:
        weight: of the positive term.
        prevalence: the share of positive labels.
    """
    return weight * prevalence / (weight * prevalence + 1 - prevalence)


def _binary_weights(c: Criterion) -> str:
    """Return what the weights of a binary loss do to the probabilities that are learned."""
    if c.kind != "sigmoid":
        return ""
    sentences = []
    if c.positive_weight is not None and set(c.positive_weight) != {1.0}:
        text = "Where the share of positive labels is p, an output with positive weight w learns w p / (w p + 1 - p)"
        shown = [f"{learned(w, PREVALENCE):.4g} for w = {w:g}" for w in sorted(set(c.positive_weight))]
        shown = shown if len(shown) < 3 else [shown[0], shown[-1]]
        sentences.append(f"{text}: {' and '.join(shown)} at p = {PREVALENCE:g}.")
    if c.weight is not None:
        sentences.append("The weight of a class multiplies both terms of its loss: it scales the gradient alone.")
    return " ".join(sentences)


def _ignored(c: Criterion) -> str:
    if c.kind == "divergence" or c.kind == "sigmoid":
        return "No example is left out: mask the loss yourself."
    if c.ignored is None:
        return "No label is left out."
    first = {0: "", 1: "The first label of each sequence has loss 0. "}.get(
        c.prefix, f"The first {c.prefix} labels of each sequence have loss 0. "
    )
    text = f"{first}Labels equal to {c.ignored} have loss 0 and gradient 0"
    text += ", and the mean does not count them." if c.reduction == "mean" else "."
    if c.ignored_class is not None:
        text += f" Class {c.ignored} stays in the softmax of the other examples."
    if c.all_ignored is not None:
        text += f" A batch of such labels alone has loss {c.all_ignored}."
    return text


def step_weights(division: Division, labels: tuple[int, ...] = LABELS) -> list[float]:
    """Return the weight of a label of each micro-batch in the gradient of an accumulated step.

    Args:
        division: what the losses are divided by.
        labels: number of labels that count in each micro-batch.
    """
    each = [torch.zeros(count, dtype=torch.float64, requires_grad=True) for count in labels]
    whole = {"step": sum(labels), "sentences": sum(SENTENCES)}.get(division)
    if division == "nothing":
        parts = [losses.reduce(part, "sum") for part in each]
    else:
        parts = [losses.reduce(part, normalizer=whole) for part in each]
    total = sum(parts, start=torch.zeros((), dtype=torch.float64))
    if division == "micro-batches":
        total = total / len(labels)
    return [float(gradient[0]) for gradient in torch.autograd.grad(total, each)]


def _accumulation(c: Criterion) -> str:
    if c.reduction == "none":
        return "Nothing is summed: your code decides what the losses of a step are divided by."
    weights = step_weights(c.division)
    even, shown = 1 / sum(LABELS), " and ".join(f"{weight:.4g}" for weight in weights)
    # a script divides by itself; with a loss alone the user does
    divided = ", if you divide by their number" if c.library in ("torch", "keras") else ""
    rule = {
        "micro-batches": f"The loss of a step is the mean of the means of its micro-batches{divided}.",
        "micro-batches, not by their number": "The loss of a step is the sum of the means of its micro-batches.",
        "step": "The loss of a step is the mean over all its labels.",
        "sentences": "The loss of a step is its sum over labels divided by its number of sequences.",
        "nothing": "The loss of a step is its sum over labels.",
    }[c.division]
    if c.prefix and c.division == "step":
        rule += " The labels of the prefix count too."
    counts = " and ".join(map(str, LABELS))
    text = f"{rule} In micro-batches of {counts} labels, a label has weight {shown}; in the mean of all, {even:.4g}."
    if c.weights_differ and c.kind != "sigmoid":
        text = text.replace("labels, a label", "labels of equal weight, a label")
    return text if (c.accumulate or 1) == 1 else f"{text} Configured: {c.accumulate} micro-batches per step."


def _mixing(c: Criterion) -> str:
    mixing = c.mixing
    if mixing is None:
        return ""
    own, other = mixed_targets(c, 0, 1)[:2].tolist()
    rest = float(mixed_targets(c, 0, 1)[2]) if c.num_classes > 2 else None
    parts = []
    if mixing.mixup and mixing.cutmix:
        parts.append(f"Mixup with probability {1 - mixing.switch:g} and otherwise CutMix.")
    for name, concentration in (("mixup", mixing.mixup), ("CutMix", mixing.cutmix)):
        if concentration:
            parts.append(
                f"In {name} the weight of the own label is drawn from Beta({concentration:g}, {concentration:g})."
            )
    if mixing.probability < 1:
        parts.append(f"A batch is mixed with probability {mixing.probability:g}.")
    parts.append("Each example has its own weight." if mixing.per_example else "A batch has one weight.")
    others = "" if rest is None else f" and {rest:.4g} for each other class"
    parts.append(
        f"With weight {MIXED:g}, an example of class 0 mixed with one of class 1 gets {own:.4g} for class 0, "
        f"{other:.4g} for class 1{others}."
    )
    return " ".join(parts)


def _validation(c: Criterion) -> str:
    if c.smooth_evaluation is None:
        return ""
    return f"The {c.smooth_evaluation} contains the smoothing: it is no negative log-likelihood."
