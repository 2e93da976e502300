"""How much label smoothing a teacher's targets amount to."""

import torch
from torch import Tensor

from softtargets._checks import check_mask, read_labels
from softtargets._errors import fail
from softtargets.distill._inputs import check_temperature, zeroed
from softtargets.targets.checks import classes_last

__all__ = ["equivalent_smoothing"]


def equivalent_smoothing(
    teacher_logits: Tensor,
    labels: Tensor,
    *,
    temperature: float = 1.0,
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: Tensor | None = None,
) -> Tensor:
    """Label smoothing that gives the wrong classes as much mass as a teacher does.

    mean_i K / (K - 1) * (1 - p_t,label(T))        # Müller et al. 2019, Sec. 4, their gamma

    Args:
        teacher_logits: (..., K) float, of the examples to distil on. No gradient flows to them.
        labels: (...) integers in [0, K).
        temperature: T, above 0.
        class_dim: dimension of the classes in the logits.
        ignore_index: label of an example to leave out.
        mask: (...) bool, False for examples to leave out; their logits and labels may have any value.

    Returns:
        () float64, from 0 to K / (K - 1); 1 for a teacher with uniform probabilities.

    Raises:
        ValueError: if shapes differ, a label is out of range, the temperature is not above 0, or no example is left.
        TypeError: if logits are not a floating-point tensor, labels not integers, or the mask is not boolean.

    Special cases:
        if the teacher's probabilities are targets smoothed by a, the result is a; T -> inf gives 1.

    Notes:
        Smoothing in the "all" convention over all K classes, including those of -inf. Intended for training examples
        that the teacher has fitted: a wrong prediction counts as mass on wrong classes.

    Complexity:
        O(N K).

    When to use:
        To compare students of teachers at several temperatures with students trained on smoothed labels.

    Limitations:
        One number does not show whether the mass goes to similar classes or is spread evenly.

    Example:
        >>> probs = torch.tensor([[0.925, 0.025, 0.025, 0.025]])        # smoothed by .1
        >>> round(float(equivalent_smoothing(probs.log(), torch.tensor([0]))), 4)
        0.1
    """
    temperature = check_temperature("temperature", temperature)
    z = classes_last("teacher_logits", teacher_logits, class_dim).detach()
    shape, size = tuple(z.shape[:-1]), z.shape[-1]
    check_mask(mask, shape)
    labels, left_out = read_labels(
        "labels", labels, num_classes=size, shape=shape, ignore_index=ignore_index, mask=mask
    )
    z = zeroed(z, left_out).double() / temperature
    odds = z.gather(-1, labels[..., None])[..., 0] - z.scatter(-1, labels[..., None], -torch.inf).logsumexp(-1)
    wrong = torch.sigmoid(-odds)
    wrong = wrong.flatten() if left_out is None else wrong[~left_out]
    if wrong.numel() == 0:
        raise fail("labels", "at least one example that is not left out", "none", "check the labels and the mask")
    return wrong.mean() * size / (size - 1)
