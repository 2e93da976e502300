"""Separation of the classes in the features of the last layer."""

from softtargets.analysis import class_separation, within_class_distance
from softtargets.measures.registry import Measure, network_measures
from softtargets.measures.subject import SAMPLED, Subject


@network_measures(
    "separation",
    Measure(
        "separation",
        "class separation R²",
        "fraction",
        f"Share of the cosine distance between examples that is due to the classes (Kornblith et al. 2021). {SAMPLED}",
    ),
    Measure(
        "within",
        "within-class distance",
        "fraction",
        f"Mean cosine distance between two examples of a class. {SAMPLED}",
    ),
)
def separation(subject: Subject) -> dict[str, float]:
    """Return the class separation and the within-class distance."""
    return {
        "separation": float(class_separation(*subject.sample)),
        "within": float(within_class_distance(*subject.sample)),
    }
