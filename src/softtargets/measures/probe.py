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

    def reached(l2: float, fitted: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> float:
        settings = {"l2": l2, "num_classes": num_classes, "tolerance": 1e-4, "steps": 200}
        return float(linear_probe(*fitted, *other, **settings).accuracy)

    best = max(PENALTIES, key=lambda l2: (reached(l2, fitted, chosen_by), l2))
    return {"probe.accuracy": reached(best, train, subject.features("test", everything["test"]))}
