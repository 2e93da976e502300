"""Distances on the plane of three classes."""

import pytest

from softtargets.measures.projection import distances
from softtargets.measures.subject import Subject


def test_distances_are_between_the_classes_that_are_named(subject, store) -> None:
    found = distances(subject, "train")
    assert 0 < found["projection.d1.train"] < found["projection.d2.train"]
    expected = found["projection.d1.train"] / found["projection.d2.train"]
    assert found["projection.ratio.train"] == pytest.approx(expected)
    # the two similar classes may be named in either order
    swapped = distances(Subject(subject.resolved, store, (8, 3, 0)), "train")
    assert swapped == pytest.approx(found, rel=1e-4)
    other = distances(Subject(subject.resolved, store, (3, 0, 8)), "train")
    assert other["projection.dc.train"] != pytest.approx(found["projection.dc.train"], rel=1e-2)
