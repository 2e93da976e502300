"""The shape of two similar classes around a third one, in the plane of their templates (Müller et al. 2019, Fig. 1)."""

from functools import partial

from torch import Tensor

from softtargets.measures.registry import Measure, network_measures
from softtargets.measures.subject import SAMPLE, Subject


def arc_ratio(points: Tensor, centre: Tensor) -> Tensor:
    """Spread of points along the direction to a centre, relative to their spread around it.

    sd(r) / (mean(r) sd(φ)),  r and φ the distance and the direction of a point as seen from the centre

    Args:
        points: (n, 2) float.
        centre: (2,) float.

    Returns:
        () float: 0 for points on a circle around the centre, and about 1 for points with the same spread in all
        directions that are far from it.
    """
    seen = points - centre
    distance = seen.norm(dim=1)
    middle = seen.mean(0)
    along = seen @ (middle / middle.norm())
    across = seen[:, 0] * (-middle[1] / middle.norm()) + seen[:, 1] * (middle[0] / middle.norm())
    return distance.std() / (distance.mean() * across.atan2(along).std())


def _arc(subject: Subject, split: str) -> dict[str, float]:
    found = subject.projected(split, subject.of_classes(split, SAMPLE // 3))
    a, b, other = subject.classes
    similar = found.points[(found.labels == a) | (found.labels == b)]
    centre = found.points[found.labels == other].mean(0)
    return {f"projection.arc.{split}": float(arc_ratio(similar, centre))}


for _split in ("train", "test"):
    network_measures(
        f"projection.arc.{_split}",
        Measure(
            f"projection.arc.{_split}",
            f"arc ratio ({_split})",
            "factor",
            "Of the examples of the two similar classes, as seen from the centroid of the other class: standard "
            "deviation of the distance divided by that of the direction, as a length. 0: all lie on an arc around the "
            f"other class. In the plane of the three classes' templates, {_split} split, true labels.",
        ),
        needs_classes=True,
    )(partial(_arc, split=_split))
