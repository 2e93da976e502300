"""Numbers of a ranking."""

import torch
from torch import Tensor

from softtargets._checks import check_floating
from softtargets._errors import fail

__all__ = ["auroc"]


def auroc(scores: Tensor, positives: Tensor) -> Tensor:
    """Probability that a positive scores higher than a negative, ties one half.

    (#{score_i > score_j} + #{score_i = score_j} / 2) / (P N)  over the pairs of a positive i and a negative j

    Args:
        scores: (M,) float, without NaN; high for positives.
        positives: (M,) bool, at least one True and one False.

    Returns:
        () float64, a fraction; 1/2 is chance.

    Raises:
        ValueError: where shapes differ, a score is NaN, or there is no positive or no negative.
        TypeError: where scores are not floating-point or positives not bool.

    Special cases:
        a perfect ranking gives 1, its reverse 0, and one score for all 1/2.

    Example:
        >>> float(auroc(torch.tensor([0.9, 0.4, 0.4, 0.1]), torch.tensor([True, True, False, False])))        # 3.5 / 4
        0.875
    """
    check_floating("scores", scores)
    if positives.dtype != torch.bool or positives.shape != scores.shape or scores.ndim != 1:
        got = f"{tuple(scores.shape)} and {positives.dtype} {tuple(positives.shape)}"
        raise fail("positives", "bool of one shape (M,) with scores", got, "give one mark per score")
    if bool(scores.isnan().any()):
        raise fail("scores", "numbers", f"nan at row {int(scores.isnan().byte().argmax())}", "fix or drop it")
    scores = scores.detach()
    above, below = scores[positives], scores[~positives].sort().values
    if not len(above) or not len(below):
        got = f"{len(above)} and {len(below)}"
        raise fail("positives", "at least one positive and one negative", got, "there is nothing to rank")
    lower, not_higher = (torch.searchsorted(below, above, right=right).double().sum() for right in (False, True))
    return (lower + not_higher) / (2 * len(above) * len(below))
