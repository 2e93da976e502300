"""Finding wrong labels where an example may have several classes."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets._arrays import ArrayLike, array_function
from softtargets._checks import check_floating, check_fraction, check_mask, first_bad, where
from softtargets._errors import fail, fail_type
from softtargets._results import TensorResult
from softtargets.noise._issues import find_label_issues

__all__ = ["MultilabelIssues", "find_multilabel_issues", "pool_label_scores"]


@dataclass(frozen=True, eq=False, repr=False)
class MultilabelIssues(TensorResult):
    """Examples that probably have a wrong label. ``len()`` is their number.

    Args:
        indices: (M,) int64, the examples with a flagged class, worst first by `scores`.
        scores: (N,) quality of all labels of an example, low is suspect; NaN without a label.
        class_scores: (N, K) probability of each label, present or absent; NaN for labels that are left out.
        is_issue: (N, K) bool, the flagged labels.
        wrong_probability: (N, K) float64, estimated probability that each label is wrong; NaN for labels left out.
        noise_rate: (K,) float64, estimated fraction of wrong labels of each class; NaN for a class without labels.
    """

    indices: Tensor
    scores: Tensor
    class_scores: Tensor
    is_issue: Tensor
    wrong_probability: Tensor
    noise_rate: Tensor

    def __len__(self) -> int:
        return len(self.indices)

    def __bool__(self) -> bool:
        return True


@array_function
def find_multilabel_issues(
    labels: ArrayLike, probs: ArrayLike, *, alpha: float = 0.8, mask: ArrayLike | None = None
) -> MultilabelIssues:
    """Multi-label issues: find wrong labels where an example may have several classes.

    class_scores[i, k] = p_ik if labels[i, k] else 1 - p_ik
    scores[i] = the exponential moving average of its class scores in descending order, as in pool_label_scores

    Each class is a binary problem of its own: :func:`find_label_issues` estimates its noise rate, the probability that
    each label is wrong, and flags labels. Examples with a flagged label are ranked by the pooled score.

    Args:
        labels: (N, K) integers 0 or 1, or bool: whether the example has the class.
        probs: (N, K) float in [0, 1], held-out predicted probability of each class. Rows need not sum to 1.
        alpha: weight of the worst scores of an example, in [0, 1].
        mask: (N, K) bool, False for labels to leave out; None: include all.

    Returns:
        MultilabelIssues; its tensors are NumPy arrays if labels and probs were.

    Raises:
        ValueError: if shapes differ, a label is not 0 or 1, a probability is outside [0, 1] (first one named), or no
            label is left.
        TypeError: if probs are not floating-point, labels neither integers nor bool, or mask not bool.

    Special cases:
        probabilities that equal the labels flag nothing; alpha=1 ranks by the worst class score of each example.

    Notes:
        The scores are those of cleanlab's ``multilabel_classification.get_label_quality_scores`` (2.9) with its
        defaults. Which labels are flagged follows :func:`find_label_issues`.

    Complexity:
        K times :func:`find_label_issues` of two classes.

    When to use:
        For tags, attributes and other labels that do not exclude each other.

    Limitations:
        Classes are judged independently: labels that contradict each other are not noticed.

    Aliases:
        find_multilabel_label_issues; multilabel_classification

    References:
        Thyagarajan et al. 2022, *Identifying Incorrect Annotations in Multi-Label Classification Data*

    Example:
        >>> labels = torch.tensor([[1, 0], [1, 0], [0, 1], [0, 1], [1, 1], [0, 0]])
        >>> probs = labels * 0.8 + 0.1
        >>> labels[0, 1] = 1                                       # a class too many
        >>> found = find_multilabel_issues(labels, probs)
        >>> found.indices.tolist(), found.is_issue[0].tolist()
        ([0], [False, True])
    """
    present = _read_labels(labels)
    check_floating("probs", probs)
    if probs.shape != present.shape:
        remedy = "pass one probability for each example and class"
        raise fail("probs", f"shape {tuple(present.shape)}, as labels", tuple(probs.shape), remedy)
    check_fraction("probs", probs)
    check_mask(mask, tuple(present.shape))
    likely = probs.detach().to(present.device)
    counted = torch.ones_like(present) if mask is None else mask.to(present.device)
    if not bool(counted.any()):
        raise fail("mask", "at least one label", "none", "include some labels")
    class_scores = torch.where(present, likely, 1 - likely).masked_fill(~counted, math.nan)
    is_issue = torch.zeros_like(present)
    wrong = torch.full(present.shape, math.nan, dtype=torch.float64, device=present.device)
    rates = torch.full((present.shape[1],), math.nan, dtype=torch.float64, device=present.device)
    for k in counted.any(0).nonzero()[:, 0].tolist():
        pair = torch.stack([1 - likely[:, k], likely[:, k]], dim=1)
        found = find_label_issues(present[:, k].long(), pair, mask=None if mask is None else counted[:, k])
        is_issue[:, k], wrong[:, k], rates[k] = found.is_issue, found.wrong_probability, found.noise_rate
    scores = pool_label_scores(class_scores, alpha=alpha)
    rows = is_issue.any(1).nonzero()[:, 0]
    worst_first = rows[scores[rows].argsort(stable=True)]
    return MultilabelIssues(worst_first, scores, class_scores, is_issue, wrong, rates)


@array_function
def pool_label_scores(scores: ArrayLike, *, alpha: float = 0.8) -> Tensor:
    """Pool the quality scores of an example: the exponential moving average in descending order.

    e_1 = s_1,  e_t = alpha s_t + (1 - alpha) e_(t-1),  s_1 >= s_2 >= ...        # Thyagarajan et al. 2022, Sec. 3

    The result is e of the last, which is the lowest, score.

    Args:
        scores: (N, K) float, low is suspect; NaN for scores to leave out.
        alpha: weight of each next lower score, in [0, 1].

    Returns:
        (N,) in the dtype of scores; NaN for an example without scores.

    Raises:
        ValueError: if scores are not of shape (N, K) with K >= 1, or alpha is not a fraction.
        TypeError: if scores are not floating-point.

    Special cases:
        alpha=1 gives the lowest score, alpha=0 the highest; one score is unchanged.

    Notes:
        cleanlab's ``exponential_moving_average`` (2.9), which has no missing scores.

    Complexity:
        One sort of each row.

    When to use:
        An example has several labels, and one wrong label is enough to look at it, but several are worse.

    Limitations:
        With many labels, the high scores hardly count: the weight of the j-th lowest score is alpha (1 - alpha)^(j-1).

    Aliases:
        exponential_moving_average

    Example:
        >>> pool_label_scores(torch.tensor([[0.9, 0.9, 0.3], [0.4, 0.9, 0.6]]))
        tensor([0.4200, 0.4520])
    """
    check_floating("scores", scores)
    if scores.ndim != 2 or scores.shape[1] < 1:
        raise fail("scores", "shape (N, K) with K >= 1", tuple(scores.shape), "pass one row of scores per example")
    check_fraction("alpha", alpha)
    # missing scores come first, and the average starts at the first score that is not missing
    ordered = scores.detach().nan_to_num(nan=math.inf).sort(dim=1, descending=True).values
    pooled = ordered[:, 0]
    for score in ordered[:, 1:].unbind(1):
        pooled = torch.where(pooled.isinf(), score, alpha * score + (1 - alpha) * pooled)
    return pooled.masked_fill(pooled.isinf(), math.nan)


def _read_labels(labels: object) -> Tensor:
    required = "integers 0 or 1, or bool, of shape (N, K)"
    if not isinstance(labels, Tensor):
        raise fail_type("labels", required, type(labels).__name__, "pass a tensor or an array")
    if labels.is_floating_point() or labels.is_complex():
        raise fail_type("labels", required, f"dtype {labels.dtype}", "pass 1 for each class that an example has")
    if labels.ndim != 2 or 0 in labels.shape:
        raise fail("labels", required, tuple(labels.shape), "pass one row per example and one column per class")
    whole = labels.detach()
    if whole.dtype != torch.bool and (bad := first_bad((whole != 0) & (whole != 1))) is not None:
        raise fail("labels", "0 or 1", f"{int(whole[bad])} at {where(bad)}", "pass 1 for each class of an example")
    return whole.bool()
