"""How far a label's logit stands out."""

from torch import Tensor

from softtargets._checks import check_labels, check_rows
from softtargets._numerics import at_least_float32

__all__ = ["logit_gap"]


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
    check_rows("logits", logits)
    check_labels("labels", labels, logits.shape[1], logits.shape[:1])
    wide = at_least_float32(logits)
    return wide.gather(1, labels.long()[:, None])[:, 0] - wide.mean(1)
