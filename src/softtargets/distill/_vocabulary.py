"""Teachers and students with different numbers of classes."""

from torch import Tensor
from torch.nn import functional

from softtargets._checks import check_int
from softtargets._errors import fail
from softtargets.targets.checks import classes_last

__all__ = ["pad_vocabulary"]


def pad_vocabulary(logits: Tensor, num_classes: int, *, class_dim: int = -1) -> Tensor:
    """Append classes without probability, so that logits over a smaller vocabulary fit a larger one.

    (z_1, ..., z_K) -> (z_1, ..., z_K, -inf, ..., -inf)

    Args:
        logits: (..., K) float, of classes 0 to K - 1 of the larger vocabulary.
        num_classes: number of classes of the larger vocabulary, at least K.
        class_dim: dimension of the classes.

    Returns:
        (..., num_classes) in the dtype and layout of the logits, -inf for the new classes.

    Raises:
        ValueError: if num_classes is below K.
        TypeError: if logits are not a floating-point tensor or num_classes is not an int.

    Special cases:
        num_classes=K gives the logits; the probabilities of the K classes, and their gradient, do not change.

    Notes:
        -inf instead of 0: a logit of 0 would take probability from the existing classes.

    Complexity:
        One copy.

    When to use:
        The teacher was trained on the first classes of the student's, or one tokenizer appends tokens to the other's.

    Limitations:
        Vocabularies with a different order must be reindexed first. If the student lacks classes of its teacher, remove
        or mask those in the teacher's logits: losses refuse a class that only the teacher gives probability.

    Example:
        >>> import torch
        >>> pad_vocabulary(torch.zeros(1, 2), 4).softmax(-1).tolist()
        [[0.5, 0.5, 0.0, 0.0]]
    """
    moved = classes_last("logits", logits, class_dim)
    check_int("num_classes", num_classes, least=2, remedy="pass the number of classes of the larger vocabulary")
    if num_classes < moved.shape[-1]:
        required = f"at least {moved.shape[-1]}, the number of classes of the logits"
        raise fail("num_classes", required, num_classes, "pass the size of the larger vocabulary")
    padded = functional.pad(moved, (0, int(num_classes) - moved.shape[-1]), value=-float("inf"))
    return padded.movedim(-1, class_dim)
