"""The range of measured coverages against scipy, and against simulated fits."""

import pytest
import torch
from scipy import stats

from softtargets.calibration import LAC, coverage_range


@pytest.mark.parametrize(("alpha", "n", "m"), [(0.1, 99, 1000), (0.05, 19, 10), (0.18, 149, 1), (0.3, 1000, 77)])
@pytest.mark.parametrize("confidence", [0.5, 0.95])
def test_it_is_the_central_range_of_scipys_beta_binomial(alpha: float, n: int, m: int, confidence: float) -> None:
    rank = n + 1 - int(round((n + 1) * alpha * 1e6) // 1e6)
    law = stats.betabinom(m, rank, n + 1 - rank)
    expected = [law.ppf(q) / m for q in ((1 - confidence) / 2, (1 + confidence) / 2)]
    found = coverage_range(alpha=alpha, calibration_rows=n, test_rows=m, confidence=confidence)
    assert found == pytest.approx(expected, abs=1e-12)


def test_fits_on_other_rows_have_this_distribution() -> None:
    generator = torch.Generator().manual_seed(0)
    low, high = coverage_range(alpha=0.2, calibration_rows=49, test_rows=60, confidence=0.8)
    shares = []
    for _ in range(300):
        logits = torch.randn(109, 3, generator=generator, dtype=torch.float64)
        labels = torch.randint(3, (109,), generator=generator)
        sets = LAC().fit(logits[:49], labels[:49], alpha=0.2).predict_sets(logits[49:])
        shares.append(float(sets.gather(1, labels[49:, None]).double().mean()))
    outside = sum(share < low or share > high for share in shares)
    # at most a fifth, up to three standard errors; and the range is not far too wide
    assert 20 < outside < 60 + 3 * (300 * 0.16) ** 0.5
    assert sum(shares) / 300 == pytest.approx(0.8, abs=3 * 0.077 / 300**0.5)


def test_few_rows_and_wrong_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"calibration_rows: at least 9 for alpha = 0\.1; got 8; add rows or increase"):
        coverage_range(alpha=0.1, calibration_rows=8, test_rows=10)
    with pytest.raises(ValueError, match="test_rows: at least 1; got 0"):
        coverage_range(alpha=0.1, calibration_rows=9, test_rows=0)
    for confidence in (0, 1, 1.5):
        with pytest.raises(ValueError, match="confidence: "):
            coverage_range(alpha=0.1, calibration_rows=9, test_rows=10, confidence=confidence)
