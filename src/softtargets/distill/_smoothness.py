"""How smooth a teacher's targets are."""

import torch
from torch import Tensor

from softtargets._checks import check_floating, check_mask, known_labels
from softtargets._errors import fail
from softtargets.distill._inputs import check_temperature, masked_rows
from softtargets.losses.inputs import paired

__all__ = ["equivalent_smoothing"]


def equivalent_smoothing(
    teacher_logits: Tensor, labels: Tensor, *, temperature: float = 1.0, mask: Tensor | None = None
) -> Tensor:
    """Say which label smoothing gives the wrong classes the mass that a teacher gives them.

    mean_i K / (K - 1) * (1 - p_t,label(T))        # Müller et al. 2019, Sec. 4, their gamma

    Args:
        teacher_logits: (..., K) float, of the examples to distil on. No gradient goes to them.
        labels: (...) int64 in [0, K).
        temperature: T, above 0.
        mask: (...) bool, False for rows that do not count, whatever their logits and labels.

    Returns:
        () float64, from 0 to K / (K - 1); 1 where a teacher knows nothing.

    Raises:
        ValueError: where shapes differ, a label is out of range, the temperature is not above 0, or no row counts.
        TypeError: where logits are not floating-point, labels not integers or the mask not boolean.

    Special cases:
        a teacher whose probabilities are targets smoothed by a gives a; T -> inf gives 1.

    Notes:
        smoothing in the "all" convention, over all K classes, those of -inf included. Meant for training examples that
        the teacher has learned: a wrong prediction counts as mass on wrong classes.

    Complexity:
        O(N K).

    When to use:
        students of teachers at several temperatures are to be compared with students of smoothed labels.

    Limitations:
        one number: it does not say whether the mass goes to like classes or evenly to all.

    Example:
        >>> probs = torch.tensor([[0.925, 0.025, 0.025, 0.025]])        # smoothed by .1
        >>> round(float(equivalent_smoothing(probs.log(), torch.tensor([0]))), 4)
        0.1
    """
    check_temperature("temperature", temperature)
    check_floating("teacher_logits", teacher_logits)
    check_mask(mask, tuple(teacher_logits.shape[:-1]))
    z, labels = paired(masked_rows(teacher_logits.detach(), mask), known_labels(labels, mask), -1)
    z = z.double() / temperature
    odds = z.gather(-1, labels[..., None])[..., 0] - z.scatter(-1, labels[..., None], -torch.inf).logsumexp(-1)
    wrong = torch.sigmoid(-odds)
    wrong = wrong.flatten() if mask is None else wrong[mask]
    if wrong.numel() == 0:
        raise fail("labels", "a row that counts", "none", "give at least one example")
    return wrong.mean() * z.shape[-1] / (z.shape[-1] - 1)
