"""A linear probe of the last layer's features."""

import torch
from torch import Tensor

from softtargets.analysis import linear_probe
from softtargets.measures.registry import Measure, network_measures
from softtargets.measures.subject import SAMPLED, Subject

# Penalties from which the probe's is chosen.
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


@network_measures(
    "probe",
    Measure(
        "probe.accuracy",
        "linear-probe accuracy",
        "percent",
        "Test accuracy of logistic regression on the features. Its penalty is chosen on the validation split, or, if "
        f"that is empty, on every fifth training example. {SAMPLED}",
    ),
)
def probe(subject: Subject) -> dict[str, float]:
    """Return the test accuracy of a linear probe. Among equally good penalties the largest is chosen."""
    train, num_classes = subject.sample, len(subject.head.weight)
    everything = {split: torch.arange(len(subject.predictions[f"{split}.ids"])) for split in ("validation", "test")}
    if len(everything["validation"]):
        fitted, chosen_by = train, subject.features("validation", everything["validation"])
    else:
        held_out = torch.arange(len(train[1])) % 5 == 4
        fitted, chosen_by = (train[0][~held_out], train[1][~held_out]), (train[0][held_out], train[1][held_out])

    test = subject.features("test", everything["test"])
    return {"probe.accuracy": probe_accuracy(fitted, chosen_by, (train, test), num_classes)}


def probe_accuracy(
    fitted: tuple[Tensor, Tensor],
    chosen_by: tuple[Tensor, Tensor],
    final: tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]],
    num_classes: int,
) -> float:
    """Return the test accuracy of a linear probe, whose penalty is chosen first.

    Args:
        fitted: features and labels on which the probe of each penalty is fitted.
        chosen_by: those on which the penalties are compared. Among equally good ones the largest is chosen.
        final: those on which the probe of the chosen penalty is fitted and tested.
        num_classes: number of classes.
    """

    def reached(l2: float, fitted: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> float:
        settings = {"l2": l2, "num_classes": num_classes, "tolerance": 1e-4, "steps": 200}
        return float(linear_probe(*fitted, *other, **settings).accuracy)

    best = max(PENALTIES, key=lambda l2: (reached(l2, fitted, chosen_by), l2))
    return reached(best, *final)
