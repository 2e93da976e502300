"""LS++: label smoothing towards classes that are learned."""

import torch
from torch import Tensor, nn

from softtargets import losses
from softtargets._checks import check_fraction, check_num_classes
from softtargets._errors import fail

__all__ = ["LearnedSmoothing"]


class LearnedSmoothing(nn.Module):
    """Smooth towards the other classes by learned shares (LS++; Chhabra et al. 2024).

    learned_smoothing_cross_entropy(logits, labels, table, smoothing=smoothing)

    Holds the table of :func:`softtargets.losses.learned_smoothing_cross_entropy`, from zeros. Hand its parameters to
    the optimiser, too.

    Args:
        num_classes: K, at least 2.
        smoothing: between 0 and 1, both excluded; the label keeps 1 - smoothing.

    Special cases:
        at first, all other classes are alike.

    Notes:
        `table` is their C-matrix, with a diagonal that plays no part.

    Complexity:
        K x K parameters; a step as the function's.

    When to use:
        the function is wanted with a table that is saved, moved and trained with the model.

    Limitations:
        as the function.
    """

    def __init__(self, num_classes: int, *, smoothing: float = 0.1) -> None:
        super().__init__()
        check_num_classes(num_classes)
        check_fraction("smoothing", smoothing, remedy="choose a value between them")
        if smoothing in (0, 1):
            raise fail("smoothing", "between 0 and 1, both excluded", smoothing, "use cross entropy or a class table")
        self.num_classes, self.smoothing = num_classes, smoothing
        self.table = nn.Parameter(torch.zeros(num_classes, num_classes))

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return one loss per example, (N,), from (N, K) logits and (N,) labels."""
        return losses.learned_smoothing_cross_entropy(logits, labels, self.table, smoothing=self.smoothing)

    def extra_repr(self) -> str:
        return f"num_classes={self.num_classes}, smoothing={self.smoothing}"
