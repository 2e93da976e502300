"""Measures of what a run predicts of each class of the test split: how steady, and how much it gives to other classes.

Of the stability S of Shen et al. 2021 they are 1 - S, as Tables 1 and 10 print it, in each reading of the formula.
"""

from functools import partial
from typing import Any

from torch import Tensor

from softtargets.analysis import inter_class_stability, stability
from softtargets.measures.registry import measure
from softtargets.runs.record import Record

# name of the measure -> variant of the stability, and what it measures
WITHIN = {
    "norm": ("eq2", "mean distance of a prediction to the mean of its class (Eq. 2 as printed)"),
    "squared": ("eq2_squared", "mean squared distance of a prediction to the mean of its class"),
    "listing": ("appendix_c", "standard deviation of its own class's probability (App. C)"),
}
BETWEEN = {
    "norm": ("eq5", "distance of its mean prediction to the mean of all (Eq. 5 as printed)"),
    "squared": ("eq5_squared", "squared distance of its mean prediction to the mean of all"),
    "scalar": ("own_class", "distance of its own mean probability of the label to that of all examples"),
}
_MEAN = "Mean over the classes of the test split of the"


def _within(record: Record, variant: Any) -> float | None:
    probs, labels = _test(record)
    # one example has no standard deviation
    kept = labels.bincount()[labels] > (1 if variant == "appendix_c" else 0)
    if not bool(kept.any()):
        return None
    return 1 - float(stability(probs[kept], labels[kept], variant=variant))


def _between(record: Record, variant: Any) -> float | None:
    probs, labels = _test(record)
    return 1 - float(inter_class_stability(probs, labels, variant=variant)) if len(labels) else None


def _test(record: Record) -> tuple[Tensor, Tensor]:
    """Return the probabilities of the test split, (N, K) float64, and its labels."""
    return record.predictions["test.logits"].double().softmax(-1), record.predictions["test.labels"]


for _name, (_variant, _what) in WITHIN.items():
    measure(
        f"stability.{_name}",
        label=f"1 − stability ({_name})",
        unit="fraction",
        describes=f"{_MEAN} {_what}: 1 - S of Shen et al. 2021.",
    )(partial(_within, variant=_variant))

for _name, (_variant, _what) in BETWEEN.items():
    measure(
        f"stability.inter.{_name}",
        label=f"1 − stability between classes ({_name})",
        unit="fraction",
        describes=f"{_MEAN} {_what}: 1 - S of Shen et al. 2021, App. G.",
    )(partial(_between, variant=_variant))


@measure("test.minor", label="probability of other classes", unit="fraction")
def probability_of_other_classes(record: Record) -> float | None:
    """Mean probability that is given to classes other than the label, over the test split."""
    probs, labels = _test(record)
    return float(probs.scatter(1, labels[:, None], 0.0).sum(1).mean()) if len(labels) else None
