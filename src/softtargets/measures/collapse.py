"""Neural collapse of the last layer's features."""

from softtargets.analysis import neural_collapse
from softtargets.measures.registry import Measure, network_measures
from softtargets.measures.subject import SAMPLED, Subject


@network_measures(
    "collapse",
    Measure(
        "nc1",
        "NC1, within-class variation",
        "fraction",
        f"Variation within classes relative to the variation between classes (Papyan et al. 2020). {SAMPLED}",
    ),
    Measure(
        "nc2.norms",
        "NC2, unequal norms",
        "fraction",
        f"Standard deviation over mean of the norms of the centred class means. {SAMPLED}",
    ),
    Measure(
        "nc2.angles",
        "NC2, unequal angles",
        "fraction",
        f"Mean distance of the cosines between centred class means from -1/(K - 1). {SAMPLED}",
    ),
    Measure(
        "nc3",
        "NC3, weights against means",
        "fraction",
        "Squared distance between the last layer's weights and the centred class means, both scaled to norm 1. "
        f"{SAMPLED}",
    ),
    Measure(
        "nc4",
        "NC4, disagreement with the nearest mean",
        "percent",
        f"Share of examples that the network and the nearest class mean classify differently. {SAMPLED}",
    ),
)
def collapse(subject: Subject) -> dict[str, float]:
    """Return the neural-collapse measures over the classes that have examples."""
    features, labels = subject.sample
    present, own = labels.unique(return_inverse=True)
    bias = None if subject.head.bias is None else subject.head.bias[present]
    found = neural_collapse(features, own, subject.head.weight[present], bias=bias)
    values = (found.nc1, found.nc2_norms, found.nc2_angles, found.nc3, found.nc4)
    return dict(zip(("nc1", "nc2.norms", "nc2.angles", "nc3", "nc4"), map(float, values), strict=True))
