"""Theorem 1 by hand."""

import math

import pytest

from softtargets.studies.lukasik2020.theorem1 import equal_rows


def test_equal_rows_cost_what_zero_does() -> None:
    """Of x a unit vector: rows of ones give four logits of 1, and 4 log(4 e) - 4 is 4 log 4."""
    assert 4 * math.log(4 * math.e) - 4 == pytest.approx(4 * math.log(4))
    assert equal_rows() == pytest.approx(0, abs=1e-15)
