"""How far classes stand apart in the last layer's features."""

from softtargets.analysis import class_separation, within_class_distance
from softtargets.measures.registry import Measure, network_measures
from softtargets.measures.subject import SAMPLED, Subject


@network_measures(
    "separation",
    Measure(
        "separation",
        "class separation R²",
        "fraction",
        f"{SAMPLED}: share of cosine distance between examples that is one between classes (Kornblith et al. 2021).",
    ),
    Measure(
        "within",
        "distance within classes",
        "fraction",
        f"{SAMPLED}: mean cosine distance of two examples of a class.",
    ),
)
def separation(subject: Subject) -> dict[str, float]:
    """Return how far classes stand apart, and how near their examples stand together."""
    return {
        "separation": float(class_separation(*subject.sample)),
        "within": float(within_class_distance(*subject.sample)),
    }
