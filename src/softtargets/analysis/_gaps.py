"""Difference between the logit of the label and the mean logit."""

import math

from torch import Tensor

from softtargets._arrays import ArrayLike, array_function
from softtargets._numerics import at_least_float32
from softtargets._rows import read_rows

__all__ = ["logit_gap"]


@array_function
def logit_gap(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: ArrayLike | None = None,
) -> Tensor:
    """Difference between the logit of a label and the mean logit (Lukasik et al. 2020, Sec. 4.1 and Fig. 3).

    z[label] - mean_k z[k]

    Args:
        logits: (..., K) float.
        labels: (...) integers in [0, K): the true or the observed labels.
        class_dim: axis of the classes in logits.
        ignore_index: label of examples to leave out; their gap is NaN.
        mask: (...) bool, False for examples to leave out; None: include all.

    Returns:
        (...) float32 or wider.

    Raises:
        ValueError: if shapes differ, a label is out of range, or no example is left.
        TypeError: if logits are not floating-point or labels not integers.

    Example:
        >>> logit_gap(torch.tensor([[3.0, 0.0, 0.0]]), torch.tensor([0])).tolist()
        [2.0]
    """
    read = read_rows(logits, labels, argument="logits", class_dim=class_dim, ignore_index=ignore_index, mask=mask)
    wide = at_least_float32(read.scores)
    gaps = wide.gather(1, read.labels[:, None])[:, 0] - wide.mean(1)
    if read.kept is not None:
        gaps = gaps.masked_fill(~read.kept, math.nan)
    return gaps.reshape(read.shape)
