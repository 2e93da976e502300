"""The numbers that claims rest on without a run: each is there, and Theorem 1's by hand."""

import math

import pytest

from softtargets._errors import InputError
from softtargets.studies.catalog import find, read_study, shipped
from softtargets.studies.exact_numbers import EXACT
from softtargets.studies.schema import Claim


def test_every_number_is_finite_and_is_claimed() -> None:
    claimed = {claim.exact for name in shipped() for claim in read_study(find(name)).claims}
    assert claimed - {None} == set(EXACT)
    assert all(math.isfinite(number()) for number in EXACT.values())


def test_equal_rows_cost_what_zero_does() -> None:
    """Of x a unit vector: rows of ones give four logits of 1, and 4 log(4 e) - 4 is 4 log 4."""
    assert 4 * math.log(4 * math.e) - 4 == pytest.approx(4 * math.log(4))
    assert EXACT["theorem1.equal_rows"]() == pytest.approx(0, abs=1e-15)


def test_an_unknown_number_names_the_nearest() -> None:
    claim = {"id": "c", "quote": "q", "where": "w", "output": "f", "reading": "r", "exact": "separator.noise"}
    with pytest.raises(InputError, match=r"exact number of claim c: .*did you mean 'separator.noisy'"):
        Claim.parse(claim)
