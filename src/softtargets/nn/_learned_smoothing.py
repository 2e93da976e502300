"""LS++: label smoothing towards classes that are learned."""

import torch
from torch import Tensor, nn

from softtargets import losses
from softtargets._checks import check_fraction, check_num_classes
from softtargets._errors import fail
from softtargets.losses.inputs import read_labelled
from softtargets.losses.reduction import Reduction
from softtargets.nn._examples import SoftmaxLoss

__all__ = ["LearnedSmoothing"]


class LearnedSmoothing(SoftmaxLoss):
    """Label smoothing++: smooths over the other classes by shares that are learned (Chhabra et al. 2024).

    learned_smoothing_cross_entropy(logits, labels, table, smoothing=smoothing)

    It holds the table of :func:`softtargets.losses.learned_smoothing_cross_entropy`, initialised to zeros. Pass its
    parameters to the optimiser too.

    Args:
        num_classes: K, at least 2.
        smoothing: in (0, 1); the label keeps 1 - smoothing.
        reduction: "mean", "sum" or "none"; the mean is over the examples that are not left out.
        ignore_index: label of an example to leave out.
        class_dim: the dimension of the classes; for (K,) logits without a batch it is 0.

    Raises:
        ValueError: if num_classes is below 2, smoothing is outside (0, 1), or the reduction is unknown.

    Special cases:
        with the initial table, smoothing is uniform over the other classes.

    Notes:
        `table` is the C-matrix of the paper, with an additional diagonal that has no effect.

    Complexity:
        K x K parameters; a step costs as much as one of the function.

    When to use:
        To save, move and train the table of the function together with the model.

    Limitations:
        The same as for the function.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        smoothing: float = 0.1,
        reduction: Reduction = "mean",
        ignore_index: int = -100,
        class_dim: int = 1,
    ) -> None:
        super().__init__(reduction=reduction, ignore_index=ignore_index, class_dim=class_dim)
        check_num_classes(num_classes)
        remedy = "use nn.CrossEntropyLoss, or targets.from_table for a fixed table"
        check_fraction("smoothing", smoothing, remedy=remedy)
        if smoothing in (0, 1):
            raise fail("smoothing", "between 0 and 1, both excluded", smoothing, remedy)
        self.num_classes, self.smoothing = num_classes, smoothing
        self.table = nn.Parameter(torch.zeros(num_classes, num_classes))

    def forward(self, input: Tensor, target: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """Return the loss, () or with "none" one value per example.

        Args:
            input: (N, K, ...) float logits, or (K,).
            target: (N, ...) integer labels.
            mask: (N, ...) bool, True for an example to include; None: include every example that is not ignored.
        """
        batch = read_labelled(input, target, **self.rows(input, mask))
        assert batch.labels is not None
        values = losses.learned_smoothing_cross_entropy(
            batch.logits, batch.labels, self.table, smoothing=self.smoothing
        )
        return batch.finish(values, self.reduction)

    def extra_repr(self) -> str:
        return (
            f"num_classes={self.num_classes}, smoothing={self.smoothing}, reduction={self.reduction!r}, "
            f"ignore_index={self.ignore_index}, class_dim={self.class_dim}"
        )
