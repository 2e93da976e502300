"""The arguments that all penalties on logits share."""

from torch import Tensor

from softtargets._checks import check_mask
from softtargets.losses.inputs import LossInputs, classes_last


def read_logits(logits: Tensor, *, class_dim: int, mask: Tensor | None) -> LossInputs:
    """Check the arguments of a penalty that needs no targets.

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        class_dim: the dimension of the classes.
        mask: (...) bool, False for an example to leave out.
    """
    moved = classes_last(logits, class_dim)
    check_mask(mask, tuple(moved.shape[:-1]))
    if mask is None:
        return LossInputs(moved, None, None, None)
    return LossInputs(moved.masked_fill(~mask[..., None], 0.0), None, None, ~mask)
