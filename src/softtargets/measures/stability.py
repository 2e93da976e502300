"""Measures of what a run predicts of each class of the test split: how steady, and how much it gives to other classes.

Of the stability S of Shen et al. 2021 they are 1 - S, as Tables 1 and 10 print it, in each reading of the formula.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from softtargets.measures.measure import Measure, predicted
from softtargets.runs.record import Predictions

if TYPE_CHECKING:
    from torch import Tensor

# What each reading of a stability measures, by its name.
WITHIN = {
    "norm": "mean distance of a prediction to the mean of its class (Eq. 2 as printed)",
    "squared": "mean squared distance of a prediction to the mean of its class",
    "listing": "standard deviation of its own class's probability (App. C)",
}
BETWEEN = {
    "norm": "distance of its mean prediction to the mean of all (Eq. 5 as printed)",
    "squared": "squared distance of its mean prediction to the mean of all",
    "scalar": "distance of its own mean probability of the label to that of all examples",
}


def _within(reading: str) -> Callable[[Predictions], float | None]:
    def of(predictions: Predictions) -> float | None:
        from softtargets.analysis import stability

        probs, labels = _test(predictions)
        # one example has no standard deviation
        kept = labels.bincount()[labels] > (1 if reading == "listing" else 0)
        if not bool(kept.any()):
            return None
        return 1 - float(stability(probs[kept], labels[kept], reading=reading))  # pyright: ignore[reportArgumentType]

    return of


def _between(reading: str) -> Callable[[Predictions], float | None]:
    def of(predictions: Predictions) -> float | None:
        from softtargets.analysis import inter_class_stability

        probs, labels = _test(predictions)
        if len(labels) == 0:
            return None
        return 1 - float(inter_class_stability(probs, labels, reading=reading))  # pyright: ignore[reportArgumentType]

    return of


def _minor(predictions: Predictions) -> float | None:
    probs, labels = _test(predictions)
    if len(labels) == 0:
        return None
    others = probs.scatter(1, labels[:, None], 0.0)
    return float(others.sum(1).mean())


def _test(predictions: Predictions) -> "tuple[Tensor, Tensor]":
    """Return the probabilities of the test split, (N, K) float64, and its labels."""
    return predictions["test.logits"].double().softmax(-1), predictions["test.labels"]


PREDICTED: dict[str, Measure] = {
    **{
        f"stability.{reading}": Measure(
            f"1 − stability ({reading})",
            "fraction",
            f"Mean over the classes of the test split of the {what}: 1 - S of Shen et al. 2021.",
            predicted(_within(reading)),
        )
        for reading, what in WITHIN.items()
    },
    **{
        f"stability.inter.{reading}": Measure(
            f"1 − stability between classes ({reading})",
            "fraction",
            f"Mean over the classes of the test split of the {what}: 1 - S of Shen et al. 2021, App. G.",
            predicted(_between(reading)),
        )
        for reading, what in BETWEEN.items()
    },
    "test.minor": Measure(
        "probability of other classes",
        "fraction",
        "Mean probability that is given to classes other than the label, over the test split.",
        predicted(_minor),
    ),
}
