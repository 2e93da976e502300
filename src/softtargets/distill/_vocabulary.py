"""Teachers and students with different numbers of classes."""

from torch import Tensor
from torch.nn import functional

from softtargets._checks import check_floating
from softtargets._errors import fail, fail_type

__all__ = ["pad_vocabulary"]


def pad_vocabulary(logits: Tensor, size: int) -> Tensor:
    """Append classes that have no probability, so that logits over a smaller vocabulary fit a larger one.

    (z_1, ..., z_K) -> (z_1, ..., z_K, -inf, ..., -inf)

    Args:
        logits: (..., K) float, of classes 0 to K - 1 of the larger vocabulary.
        size: its number of classes, at least K.

    Returns:
        (..., size) of the dtype of the logits, -inf for the new classes.

    Raises:
        ValueError: where size is below K.
        TypeError: where logits are not floating-point or size is not an int.

    Special cases:
        size=K gives the logits; the probabilities of the K classes, and their gradient, stay as they are.

    Notes:
        -inf, never 0: that is a logit like any other, which takes probability from the classes there are.

    Complexity:
        one copy.

    When to use:
        a teacher that was trained on the first classes of the student's, or tokenizers of which one adds tokens at the
        end.

    Limitations:
        vocabularies that order their classes differently: reindex those. A student that lacks classes of its teacher is
        refused where the teacher gives them probability; take those of the teacher off, or mask them there.

    Example:
        >>> pad_vocabulary(torch.zeros(1, 2), 4).softmax(-1).tolist()
        [[0.5, 0.5, 0.0, 0.0]]
    """
    check_floating("logits", logits)
    if isinstance(size, bool) or not isinstance(size, int):
        raise fail_type("size", "an int", repr(size), "pass the number of classes")
    if logits.ndim == 0 or size < logits.shape[-1]:
        got = f"{size} for shape {tuple(logits.shape)}"
        raise fail("size", "at least the number of classes, (..., K)", got, "pass the larger vocabulary's size")
    return functional.pad(logits, (0, size - logits.shape[-1]), value=-float("inf"))
