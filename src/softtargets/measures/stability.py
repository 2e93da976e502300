"""Variation of the predictions within each class of the test split: 1 - S of Shen et al. 2021, Tables 1 and 10.

Each variant is one reading of the paper's formula for the stability S.
"""

from functools import partial
from typing import Any

from torch import Tensor

from softtargets.analysis import inter_class_stability, stability
from softtargets.measures.registry import measure
from softtargets.runs.record import Record

# name of the measure -> variant of the stability, its name in labels, and its definition
WITHIN = {
    "norm": ("eq2", "Eq. 2", "mean distance of the predictions to the mean of their class (Eq. 2 as printed)"),
    "squared": ("eq2_squared", "Eq. 2, squared", "mean squared distance of the predictions to the mean of their class"),
    "listing": ("appendix_c", "App. C", "standard deviation of the probability of the true class (App. C)"),
}
BETWEEN = {
    "norm": ("eq5", "Eq. 5", "distance of the class's mean prediction to the overall mean (Eq. 5 as printed)"),
    "squared": ("eq5_squared", "Eq. 5, squared", "squared distance of the class's mean prediction to the overall mean"),
    "scalar": (
        "own_class",
        "own class",
        "difference between the class's mean probability over its own and over all examples",
    ),
}
_MEAN = "Mean over the classes of the test split of the"


def _within(record: Record, variant: Any) -> float | None:
    probs, labels = _test(record)
    # a single example has no standard deviation
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


for _name, (_variant, _label, _what) in WITHIN.items():
    measure(
        f"stability.{_name}",
        label=f"1 − stability ({_label})",
        unit="fraction",
        describes=f"{_MEAN} {_what}: 1 - S of Shen et al. 2021.",
    )(partial(_within, variant=_variant))

for _name, (_variant, _label, _what) in BETWEEN.items():
    measure(
        f"stability.inter.{_name}",
        label=f"1 − stability between classes ({_label})",
        unit="fraction",
        describes=f"{_MEAN} {_what}: 1 - S of Shen et al. 2021, App. G.",
    )(partial(_between, variant=_variant))


@measure("test.minor", label="probability of other classes", unit="fraction", bounds=(0.0, 1.0))
def probability_of_other_classes(record: Record) -> float | None:
    """Mean total probability of the classes other than the true label, over the test split."""
    probs, labels = _test(record)
    return float(probs.scatter(1, labels[:, None], 0.0).sum(1).mean()) if len(labels) else None
