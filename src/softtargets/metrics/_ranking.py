"""The area under the ROC curve."""

import torch
from torch import Tensor

from softtargets._arrays import ArrayLike, array_function
from softtargets._checks import check_floating, check_mask
from softtargets._errors import fail, fail_type

__all__ = ["auroc"]


@array_function
def auroc(scores: ArrayLike, positives: ArrayLike, *, mask: ArrayLike | None = None) -> Tensor:
    """Area under the ROC curve: the probability that a positive has a higher score than a negative; ties count half.

    (#{score_i > score_j} + #{score_i = score_j} / 2) / (P N)  over the pairs of a positive i and a negative j

    Args:
        scores: (M,) float without NaN, high for positives.
        positives: (M,) bool, at least one True and one False.
        mask: (M,) bool, True for entries to include. Default: all.

    Returns:
        () float64, a fraction; 1/2 is chance.

    Raises:
        ValueError: if shapes differ, a score is NaN, or there is no positive or no negative.
        TypeError: if scores are not floating-point, or positives or mask not bool.

    Special cases:
        a perfect ranking gives 1, its reverse 0, and equal scores give 1/2.

    Aliases:
        roc_auc_score; BinaryAUROC; AUC; binary_auroc

    Example:
        >>> float(auroc(torch.tensor([0.9, 0.4, 0.4, 0.1]), torch.tensor([True, True, False, False])))        # 3.5 / 4
        0.875
    """
    if isinstance(scores, Tensor) and scores.dtype == torch.bool and isinstance(positives, Tensor):
        raise fail_type("scores", "a floating-point tensor", "dtype torch.bool", "swap scores and positives")
    check_floating("scores", scores)
    if not isinstance(positives, Tensor) or positives.dtype != torch.bool:
        got = f"dtype {positives.dtype}" if isinstance(positives, Tensor) else type(positives).__name__
        raise fail_type("positives", "a bool tensor or array", got, "mark each score, as in labels == 1")
    if scores.ndim != 1 or positives.shape != scores.shape:
        got = f"{tuple(scores.shape)} and {tuple(positives.shape)}"
        raise fail("positives", "shape (M,), one per score", got, "flatten both to one axis")
    check_mask(mask, tuple(scores.shape))
    if mask is not None:
        scores, positives = scores.masked_fill(~mask, 0.0), positives & mask
    if bool(scores.isnan().any()):
        raise fail(
            "scores", "numbers without NaN", f"nan at row {int(scores.isnan().byte().argmax())}", "fix it or drop it"
        )
    negatives = ~positives if mask is None else ~positives & mask
    scores = scores.detach()
    above, below = scores[positives], scores[negatives].sort().values
    if not len(above) or not len(below):
        got = f"{len(above)} and {len(below)}"
        raise fail("positives", "at least one positive and one negative", got, "pass scores of both kinds")
    lower, not_higher = (torch.searchsorted(below, above, right=right).double().sum() for right in (False, True))
    return (lower + not_higher) / (2 * len(above) * len(below))
