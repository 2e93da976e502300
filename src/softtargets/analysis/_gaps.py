"""How far a label's logit stands out."""

from torch import Tensor

from softtargets._checks import check_floating, check_labels
from softtargets._errors import fail
from softtargets._numerics import at_least_float32


def logit_gap(logits: Tensor, labels: Tensor) -> Tensor:
    """Difference between the logit of a label and the mean logit (Lukasik et al. 2020, Sec. 4.1 and Fig. 3).

    z[label] - mean_k z[k]

    Args:
        logits: (N, K) float.
        labels: (N,) int64 in [0, K): the true or the observed ones.

    Returns:
        (N,) float32 or wider.

    Raises:
        ValueError: where shapes differ or a label is out of range.

    Example:
        >>> logit_gap(torch.tensor([[3.0, 0.0, 0.0]]), torch.tensor([0])).tolist()
        [2.0]
    """
    _check(logits, labels)
    wide = at_least_float32(logits)
    return wide.gather(1, labels.long()[:, None])[:, 0] - wide.mean(1)


def _check(logits: Tensor, labels: Tensor) -> None:
    check_floating("logits", logits)
    if logits.ndim != 2 or logits.shape[1] < 2:
        raise fail("logits", "shape (N, K) with K >= 2", tuple(logits.shape), "give one row of K per example")
    check_labels("labels", labels, logits.shape[1])
    if labels.shape != logits.shape[:1]:
        raise fail("labels", f"shape ({logits.shape[0]},)", tuple(labels.shape), "give one label per row")
