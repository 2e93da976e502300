"""Distances between three classes in the plane of their templates."""

from collections.abc import Iterator
from functools import partial

from softtargets.analysis import cluster_distances
from softtargets.measures.registry import Measure, network_measures
from softtargets.measures.subject import SAMPLE, Subject

_DESCRIBED = {
    "dc": ("Dc, similar classes", "Distance between the centroids of the two similar classes."),
    "d1": (
        "D1, nearest of the other",
        "5 % quantile of the other class's distance to the centre of the similar classes.",
    ),
    "d2": (
        "D2, farthest of the other",
        "95 % quantile of the other class's distance to the centre of the similar classes.",
    ),
    "ratio": ("D1 / D2", "Ratio of the 5 % quantile to the 95 % quantile of this distance (see D1 and D2)."),
}


def _measures(split: str) -> Iterator[Measure]:
    plane = f"In the plane of the three classes' templates, {split} split, true labels"
    for name, (label, text) in _DESCRIBED.items():
        unit = "" if name == "ratio" else ", relative to the spread within the similar classes"
        yield Measure(f"projection.{name}.{split}", f"{label} ({split})", "factor", f"{text} {plane}{unit}.")


def distances(subject: Subject, split: str) -> dict[str, float]:
    """Return the distances of Fig. 1 of Shen et al. 2021, measured in the plane of the figure."""
    points = subject.projected(split, subject.of_classes(split, SAMPLE // 3))
    a, b, other = subject.classes
    found = cluster_distances(points.points, points.labels, similar=(a, b), different=other)
    scaled = found.over_spread
    values = {"dc": scaled.dc, "d1": scaled.d1, "d2": scaled.d2, "ratio": found.d1 / found.d2}
    return {f"projection.{name}.{split}": float(value) for name, value in values.items()}


for _split in ("train", "test"):
    network_measures(f"projection.{_split}", *_measures(_split), needs_classes=True)(partial(distances, split=_split))
