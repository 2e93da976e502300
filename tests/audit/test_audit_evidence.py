"""Whether predictions know more than a guess."""

import math

import pytest
import torch

from softtargets.audit.evidence import measure_agreement


def test_agreement_is_compared_with_guessing_the_most_frequent_label():
    found = measure_agreement(3, torch.tensor([3, 1]))
    assert (found.share, found.largest) == (0.75, 0.75)
    # of 4 guesses, each right with probability 3/4, at least 3 are: 4 (3/4)^3 (1/4) + (3/4)^4
    assert found.by_chance == pytest.approx(4 * 0.75**3 * 0.25 + 0.75**4)


@pytest.mark.parametrize("agreed", [0, 40_000, 49_000, 50_000, 50_400, 52_000, 100_000])
def test_terms_that_are_left_out_of_the_tail_do_not_matter(agreed):
    size, share = 100_000, 0.5
    terms = (
        math.lgamma(size + 1) - math.lgamma(k + 1) - math.lgamma(size - k + 1) + size * math.log(share)
        for k in range(agreed, size + 1)
    )
    found = measure_agreement(agreed, torch.tensor([size // 2, size // 2]))
    assert found.by_chance == pytest.approx(math.fsum(map(math.exp, terms)), rel=1e-8, abs=1e-300)
