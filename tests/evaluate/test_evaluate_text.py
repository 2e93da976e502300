"""Numbers of an evaluation as text."""

import math

from softtargets.evaluate.text import points_of, range_of, text_of
from softtargets.evaluate.values import IntervalEnds


def test_numbers_as_text():
    assert text_of(None, "percent") == "—"
    assert (text_of(math.inf, "nats"), text_of(-math.inf, "nats")) == ("∞", "−∞")
    assert range_of(IntervalEnds(-0.01, 0.02), "percent") == "−1.00 to 2.00"
    assert range_of(None, "percent") == ""
    assert points_of(0.0123, "percent") == "+1.23 points"
    assert points_of(math.inf, "nats") == "∞"
    assert points_of(-0.5, "fraction") == "−0.500"
