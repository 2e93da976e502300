"""VolMinNet: forward correction by a transition that is learned."""

import math
import numbers

import torch
from torch import Tensor, nn

from softtargets import losses
from softtargets._checks import check_not_negative, check_num_classes
from softtargets._errors import fail
from softtargets._numerics import at_least_float32
from softtargets.losses.inputs import read_labelled
from softtargets.losses.reduction import Reduction
from softtargets.nn._examples import SoftmaxLoss

__all__ = ["VolMinNet"]


class VolMinNet(SoftmaxLoss):
    """VolMinNet: forward correction with a learned transition of minimum volume (Li et al. 2021).

    forward-corrected cross entropy under T + volume_weight * log |det T|

    T = (I + sigmoid(scores) off the diagonal), each row divided by its sum: no entry exceeds the diagonal of its row
    and none is 0. This is the form in copies of the authors' code; the paper asks for a dominant diagonal.

    Give `scores` its own optimiser settings, without weight decay, which would pull T towards another matrix::

        torch.optim.SGD([{"params": model.parameters(), "weight_decay": 5e-4}, {"params": loss.parameters()}], lr=0.01)

    Args:
        num_classes: K, at least 2.
        volume_weight: >= 0; lambda in the paper.
        initial: initial value of every score; with -2 every entry is 0.12 times the diagonal. The `init` of the
            authors' code is its negative. Use a smaller value for more classes: initially a label stays with
            probability 1 / (1 + (K - 1) sigmoid(initial)).
        reduction: "mean", "sum" or "none"; the mean is over the examples that are not left out.
        ignore_index: label of an example to leave out.
        class_dim: the dimension of the classes; for (K,) logits without a batch it is 0.

    Raises:
        ValueError: if num_classes is below 2, volume_weight is negative, initial is not finite, or the reduction is
            unknown.

    Special cases:
        volume_weight=0 gives forward_corrected_cross_entropy under `transition()`.

    Notes:
        In T, row = clean and column = observed. The logits are those of the clean class: use
        their softmax to predict.

    Complexity:
        The same as forward correction, O(N K), plus O(K^3) per step for the determinant.

    When to use:
        Labels are wrong by class, at unknown rates, and there are no clean examples to estimate T from.

    Limitations:
        T is identifiable only if the clean posteriors are sufficiently scattered (Li et al. 2021), and not if the noise
        depends on the example. With many classes T has many parameters.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        volume_weight: float = 1e-4,
        initial: float = -2.0,
        reduction: Reduction = "mean",
        ignore_index: int = -100,
        class_dim: int = 1,
    ) -> None:
        super().__init__(reduction=reduction, ignore_index=ignore_index, class_dim=class_dim)
        check_num_classes(num_classes)
        check_not_negative(volume_weight=volume_weight)
        if not isinstance(initial, numbers.Real) or not math.isfinite(initial):
            raise fail("initial", "a finite number", repr(initial), "use about -2, or less for many classes")
        self.num_classes, self.volume_weight, self.initial = num_classes, volume_weight, initial
        self.scores = nn.Parameter(torch.full((num_classes, num_classes), float(initial)))

    def transition(self) -> Tensor:
        """Return T, (K, K) float32 or wider, clean -> observed, with its gradient; detach it to inspect it."""
        scores = at_least_float32(self.scores)
        off = 1 - torch.eye(self.num_classes, dtype=scores.dtype, device=scores.device)
        weights = 1 - off + off * scores.sigmoid()
        return weights / weights.sum(-1, keepdim=True)

    def forward(self, input: Tensor, target: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """Return the loss, () or with "none" one value per example.

        Args:
            input: (N, K, ...) float logits of the clean class, or (K,).
            target: (N, ...) integer observed labels.
            mask: (N, ...) bool, True for an example to include; None: include every example that is not ignored.
        """
        batch = read_labelled(input, target, **self.rows(input, mask))
        assert batch.labels is not None
        transition = self.transition()
        corrected = losses.forward_corrected_cross_entropy(batch.logits, batch.labels, transition)
        return batch.finish(corrected + self.volume_weight * losses.volume_penalty(transition), self.reduction)

    def extra_repr(self) -> str:
        return (
            f"num_classes={self.num_classes}, volume_weight={self.volume_weight}, initial={self.initial}, "
            f"reduction={self.reduction!r}, ignore_index={self.ignore_index}, class_dim={self.class_dim}"
        )
