"""The range of coverages that valid prediction sets have."""

from softtargets._checks import check_fraction, check_int
from softtargets._errors import fail
from softtargets.calibration.conformal.quantiles import check_alpha, least_rows, rank_of
from softtargets.metrics.statistics import beta_binomial_range

__all__ = ["coverage_range"]


def coverage_range(
    *, alpha: float, calibration_rows: int, test_rows: int, confidence: float = 0.95
) -> tuple[float, float]:
    """Range in which the measured coverage of valid prediction sets lies, over calibration sets and test sets.

    covered rows ~ BetaBinomial(m, r, n + 1 - r),  r = ceil((n + 1)(1 - alpha))

    n calibration rows and m test rows that are exchangeable, without equal scores, have this distribution whatever the
    model is. A measured coverage outside the range says that they are not exchangeable. The Wilson interval of
    :func:`softtargets.metrics.set_coverage` counts the randomness of the test rows alone: it is about the sets of one
    fitted object. This range counts that of the calibration rows too.

    Args:
        alpha: share of sets that may miss the label, in (0, 1).
        calibration_rows: n, number of calibration rows.
        test_rows: m, number of rows on which the coverage is measured.
        confidence: probability of the range, in (0, 1).

    Returns:
        Lower and upper end, fractions; outside of them lies at most (1 - confidence) / 2 on either side.

    Raises:
        ValueError: if alpha or confidence is not in (0, 1), a number of rows is below 1, or there are too few
            calibration rows for a finite threshold.
        TypeError: if an argument is not a number.

    Special cases:
        many calibration rows give the range of a binomial distribution; many test rows give that of Beta(r, n + 1 - r).

    Notes:
        For thresholds from noisy labels, pass `effective_rows` of the fitted object, rounded: an approximation.

    Limitations:
        Equal scores make the coverage larger; the upper end then does not hold.

    Complexity:
        O(m).

    Aliases:
        beta-binomial coverage; training-conditional coverage

    Example:
        >>> low, high = coverage_range(alpha=0.1, calibration_rows=99, test_rows=1000)
        >>> low, high
        (0.831, 0.953)
    """
    alpha = check_alpha(alpha)
    check_int("calibration_rows", calibration_rows, least=1, remedy="pass the number of calibration rows")
    check_int("test_rows", test_rows, least=1, remedy="pass the number of test rows")
    check_fraction("confidence", confidence, remedy="0.95 is usual")
    if not 0 < float(confidence) < 1:
        raise fail("confidence", "a number above 0 and below 1", f"{float(confidence):g}", "0.95 is usual")
    rank = int(rank_of(int(calibration_rows), alpha))
    if rank > calibration_rows:
        required = f"at least {least_rows(alpha):,} for alpha = {alpha:g}"
        raise fail("calibration_rows", required, calibration_rows, "add rows or increase alpha")
    return beta_binomial_range(int(test_rows), rank, int(calibration_rows) + 1 - rank, 1 - float(confidence))
