"""VolMinNet: forward correction by a transition that is learned."""

import math

import torch
from torch import Tensor, nn

from softtargets import losses
from softtargets._checks import check_not_negative, check_num_classes
from softtargets._errors import fail
from softtargets._numerics import at_least_float32

__all__ = ["VolMinNet"]


class VolMinNet(nn.Module):
    """Forward-corrected cross entropy with a learned transition, held tight by its volume (Li et al. 2021).

    forward correction by T + weight * log |det T|, one value per example

    T = (I + sigmoid(scores) off the diagonal), its rows divided by their sums: no entry exceeds the diagonal of its
    row and none is 0. So in copies of the authors' code; the paper asks for a dominant diagonal (our reading).

    Give `scores` optimiser settings of its own, without weight decay, which would draw T towards another matrix::

        torch.optim.SGD([{"params": model.parameters(), "weight_decay": 5e-4}, {"params": loss.parameters()}], lr=0.01)

    Args:
        num_classes: K, at least 2.
        weight: of the volume, at least 0; their lambda.
        initial: the score that every entry starts from; at -2 each is 0.12 of the diagonal. Their `init` is its
            negative. Choose less for more classes: the label stays with probability 1 / (1 + (K - 1) sigmoid(initial)).

    Special cases:
        weight=0 gives forward_corrected_cross_entropy under `transition()`.

    Notes:
        T as everywhere here: row = clean, column = observed. Logits are of the clean class: predict with them.

    Complexity:
        forward correction, O(N K), and O(K^3) a step for the determinant.

    When to use:
        labels are wrong by class, at rates that are not known, and no clean examples are at hand to estimate T from.

    Limitations:
        identifies T only where clean posteriors are scattered widely enough (Li et al. 2021), and not where noise
        depends on the example; with many classes T is a large thing to learn.
    """

    def __init__(self, num_classes: int, *, weight: float = 1e-4, initial: float = -2.0) -> None:
        super().__init__()
        check_num_classes(num_classes)
        check_not_negative(weight=weight)
        if not math.isfinite(initial):
            raise fail("initial", "a finite number", initial, "use about -2, or less for many classes")
        self.num_classes, self.weight, self.initial = num_classes, weight, initial
        self.scores = nn.Parameter(torch.full((num_classes, num_classes), float(initial)))

    def transition(self) -> Tensor:
        """Return T, (K, K) float32 or wider, clean -> observed, with its gradient; detach it to look at it."""
        scores = at_least_float32(self.scores)
        off = 1 - torch.eye(self.num_classes, dtype=scores.dtype, device=scores.device)
        weights = 1 - off + off * scores.sigmoid()
        return weights / weights.sum(-1, keepdim=True)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return one loss per example, (N,), from (N, K) logits of the clean class and (N,) observed labels."""
        transition = self.transition()
        corrected = losses.forward_corrected_cross_entropy(logits, labels, transition)
        return corrected + self.weight * losses.volume_penalty(transition)

    def extra_repr(self) -> str:
        return f"num_classes={self.num_classes}, weight={self.weight}, initial={self.initial}"
