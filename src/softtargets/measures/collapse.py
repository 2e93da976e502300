"""Neural collapse of the last layer's features."""

from softtargets.analysis import neural_collapse
from softtargets.measures.registry import Measure, network_measures
from softtargets.measures.subject import SAMPLED, Subject


@network_measures(
    "collapse",
    Measure(
        "nc1",
        "NC1, variation within classes",
        "fraction",
        f"{SAMPLED}: variation within classes in units of that between them (Papyan et al. 2020).",
    ),
    Measure(
        "nc2.norms",
        "NC2, unequal norms",
        "fraction",
        f"{SAMPLED}: standard deviation over mean of the centred class means' norms.",
    ),
    Measure(
        "nc2.angles",
        "NC2, unequal angles",
        "fraction",
        f"{SAMPLED}: mean distance of the cosines of two centred class means from -1/(K - 1).",
    ),
    Measure(
        "nc3",
        "NC3, weights against means",
        "fraction",
        f"{SAMPLED}: squared distance of the last layer's weight to the centred class means, both scaled to norm 1.",
    ),
    Measure(
        "nc4",
        "NC4, not the nearest mean",
        "percent",
        f"{SAMPLED}: share of examples that the network does not give the class of the nearest mean.",
    ),
)
def collapse(subject: Subject) -> dict[str, float]:
    """Return the signs of neural collapse, of those classes that have examples."""
    features, labels = subject.sample
    present, own = labels.unique(return_inverse=True)
    found = neural_collapse(features, own, subject.head.weight[present], bias=subject.head.bias[present])
    values = (found.nc1, found.nc2_norms, found.nc2_angles, found.nc3, found.nc4)
    return dict(zip(("nc1", "nc2.norms", "nc2.angles", "nc3", "nc4"), map(float, values), strict=True))
