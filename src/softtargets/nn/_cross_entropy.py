"""Cross entropy under torch's keywords."""

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from softtargets._checks import check_class_weight, check_fraction, check_prior
from softtargets._errors import fail, unknown
from softtargets._numerics import at_least_float32
from softtargets.losses.building_blocks import reduced_cross_entropy
from softtargets.losses.reduction import REDUCTIONS, Reduction
from softtargets.nn._examples import check_fits, class_dim_of, shape_of, weights_of
from softtargets.targets import Targets, convert_smoothing, dense, hard, reweight, smooth
from softtargets.targets.conventions import CONVENTIONS

__all__ = ["CrossEntropyLoss"]


class CrossEntropyLoss(nn.Module):
    """Cross entropy of logits against labels, probabilities or Targets, with torch.nn.CrossEntropyLoss's keywords.

    mean = sum_i w_i * loss_i / sum_i w_i        over the examples that are not ignored

    Changing the class name is the whole migration: without `weight`, and where anything is left to average, the numbers
    are torch's. They differ where torch's are a fault, which weighting="torch" gives back:

    - w_i weighs the example: it is weight[label] wherever a label is known, else sum_k t_k weight_k. torch weighs the
      classes within a smoothed target, and so moves what is learned (pytorch#104776).
    - the mean divides by the sum of these weights, for labels as for probabilities (pytorch#107680); `normalizer` takes
      its place, so that the mean over micro-batches is the mean over the batch.
    - a batch without an example to count is 0 with gradient 0, never nan (pytorch#70348).
    - smoothing keeps the mass of a soft target, which torch changes where it is not 1.

    The result has at least float32's precision; with weighting="torch" the dtype that torch gives.

    Args:
        weight: (K,) float of at least 0, one per class; a buffer. With weighting="torch" it may be negative.
        ignore_index: label that marks an example without a target. Where targets are soft, mark it in
            ``Targets.ignored``.
        reduction: "mean", "sum" or "none".
        label_smoothing: in [0, 1], in the stated convention; on top of whatever smoothing Targets bring.
        convention: what `label_smoothing` means, see :func:`softtargets.targets.convert_smoothing`; "all" is torch's.
        prior: (K,) probabilities that smoothing is spread by; None: uniform; a buffer.
        weighting: "example", or "torch" for torch's numbers on whatever it is given.
        class_dim: where the classes are, as in torch; 0 for (K,) logits without a batch.

    Raises:
        ValueError: where a hyper-parameter is out of range or unknown.
        TypeError: where a tensor is not floating-point.

    Special cases:
        weight=None gives the numbers of torch.nn.CrossEntropyLoss, smoothed or not.

    Notes:
        keywords and defaults of torch.nn.CrossEntropyLoss, without its deprecated size_average and reduce.

    Complexity:
        as :func:`softtargets.losses.cross_entropy`: one pass, gradient included; no N x K target is made of labels.

    When to use:
        in place of torch.nn.CrossEntropyLoss.

    Limitations:
        a mean over a small weighted batch has the batch's own normaliser: give `normalizer`.

    Example:
        >>> logits, labels = torch.tensor([[2.0, 0.0, 0.0], [0.0, 0.0, 0.0]]), torch.tensor([0, -100])
        >>> round(float(CrossEntropyLoss(label_smoothing=0.3)(logits, labels)), 4)        # log(e^2 + 2) - 0.8 * 2
        0.6395
    """

    weight: Tensor | None
    prior: Tensor | None
    reduction: Reduction

    def __init__(
        self,
        *,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: Reduction = "mean",
        label_smoothing: float = 0.0,
        convention: str = "all",
        prior: Tensor | None = None,
        weighting: Literal["example", "torch"] = "example",
        class_dim: int = 1,
    ) -> None:
        super().__init__()
        choices = (
            ("reduction", reduction, REDUCTIONS),
            ("convention", convention, CONVENTIONS),
            ("weighting", weighting, WEIGHTINGS),
        )
        for argument, chosen, known in choices:
            if chosen not in known:
                raise unknown(argument, chosen, known)
        if weight is not None:
            check_class_weight("weight", weight, negative=weighting == "torch")
        if prior is not None:
            check_prior("prior", prior)
        check_fraction("label_smoothing", label_smoothing)
        self.register_buffer("weight", weight)
        self.register_buffer("prior", prior)
        self.ignore_index, self.reduction, self.class_dim = ignore_index, reduction, class_dim
        self.label_smoothing, self.convention, self.weighting = label_smoothing, convention, weighting

    def forward(self, logits: Tensor, target: Tensor | Targets, *, normalizer: float | Tensor | None = None) -> Tensor:
        """Return the loss, () or with "none" one value per example.

        Args:
            logits: (N, K, ...) float, or (K,).
            target: (N, ...) int64 labels, float probabilities of the shape of the logits, or Targets of (N, ...).
            normalizer: what "mean" divides the weighted sum by, in place of the sum of the weights.
        """
        class_dim = class_dim_of(logits, self.class_dim)
        size = logits.shape[class_dim]
        check_fits("weight", self.weight, size)
        targets = self._targets(target, logits, class_dim)
        smoothed, reduced = WEIGHTINGS[self.weighting]
        if self.label_smoothing:
            settings = {"num_classes": size, "convention": self.convention, "prior": self.prior}
            targets = smoothed(targets, self.label_smoothing, **settings)
        return reduced(logits, targets, class_dim, self.weight, self.reduction, normalizer)

    def extra_repr(self) -> str:
        return (
            f"weight={shape_of(self.weight)}, ignore_index={self.ignore_index}, reduction={self.reduction!r}, "
            f"label_smoothing={self.label_smoothing}, convention={self.convention!r}, prior={shape_of(self.prior)}, "
            f"weighting={self.weighting!r}, class_dim={self.class_dim}"
        )

    def _targets(self, target: Tensor | Targets, logits: Tensor, class_dim: int) -> Targets:
        if isinstance(target, Targets):
            return target
        if not (isinstance(target, Tensor) and target.is_floating_point()):
            return hard(target, ignore_index=self.ignore_index)
        if target.shape != logits.shape:
            required = f"int64 labels, or probabilities of the shape of the logits, {tuple(logits.shape)}"
            got = f"{target.dtype} of shape {tuple(target.shape)}"
            raise fail("target", required, got, "use target.long() for labels")
        if self.ignore_index >= 0:
            remedy = "mark rows by dataclasses.replace(targets.dense(probs), ignored=mask)"
            raise fail("ignore_index", "negative where targets are probabilities", self.ignore_index, remedy)
        return dense(target.movedim(class_dim, -1))


def _by_example(
    logits: Tensor,
    targets: Targets,
    class_dim: int,
    class_weight: Tensor | None,
    reduction: Reduction,
    normalizer: float | Tensor | None,
) -> Tensor:
    weight = weights_of(targets, class_weight)
    return reduced_cross_entropy(logits, targets, reduction, weight=weight, normalizer=normalizer, class_dim=class_dim)


def _as_torch(
    logits: Tensor,
    targets: Targets,
    class_dim: int,
    class_weight: Tensor | None,
    reduction: Reduction,
    normalizer: float | Tensor | None,
) -> Tensor:
    weighted = targets if class_weight is None else reweight(targets, class_weight)
    over_nothing = None
    if reduction == "mean" and normalizer is None:
        normalizer = torch.as_tensor(_normalizer_of_torch(targets, class_weight), device=logits.device)
        over_nothing = normalizer == 0
    result = reduced_cross_entropy(logits, weighted, reduction, normalizer=normalizer, class_dim=class_dim)
    if over_nothing is not None:
        result = torch.where(over_nothing, torch.nan, result)  # as torch has it; ours would be 0
    # under autocast torch takes this loss in float32
    return result if torch.is_autocast_enabled(logits.device.type) else result.to(logits.dtype)


def _normalizer_of_torch(targets: Targets, class_weight: Tensor | None) -> Tensor | int:
    if class_weight is not None and targets.labels is not None:
        chosen = at_least_float32(class_weight)[targets.labels]
        return chosen.sum() if targets.ignored is None else chosen.masked_fill(targets.ignored, 0.0).sum()
    return targets.shape.numel() if targets.ignored is None else (~targets.ignored).sum()


def _smooth_as_torch(
    targets: Targets, smoothing: float, *, num_classes: int, convention: str, prior: Tensor | None
) -> Targets:
    """Smooth soft targets by the same amount whatever their mass, and labels as we do."""
    if targets.values is None:
        return smooth(targets, smoothing, num_classes=num_classes, convention=convention, prior=prior)
    values = targets.values
    rate = convert_smoothing(smoothing, num_classes=num_classes, source=convention)
    spread = replace(targets, prior=prior).prior_over(num_classes, values.dtype, values.device)
    return replace(targets, values=(1 - rate) * values + rate * spread)


# what smooths, and what weighs and reduces
WEIGHTINGS = {"example": (smooth, _by_example), "torch": (_smooth_as_torch, _as_torch)}
