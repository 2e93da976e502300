"""Cross entropy under torch's keywords."""

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from softtargets import losses
from softtargets._checks import check_class_weight, check_fraction, check_prior
from softtargets._errors import fail, fail_type, unknown
from softtargets._numerics import at_least_float32
from softtargets.losses.building_blocks import of_labels, reduced_cross_entropy
from softtargets.losses.inputs import LossInputs, read_examples
from softtargets.losses.reduction import Reduction
from softtargets.nn._examples import RowSettings, check_fits, check_settings, class_dim_of, shape_of, weights_of
from softtargets.targets import Targets, convert_smoothing, reweight, smooth
from softtargets.targets.conventions import CONVENTIONS

__all__ = ["CrossEntropyLoss"]


class CrossEntropyLoss(nn.CrossEntropyLoss):
    """Cross entropy of logits against labels, probabilities or Targets, with torch.nn.CrossEntropyLoss's keywords.

    mean = sum_i w_i * loss_i / sum_i w_i        over the examples that are not ignored

    To migrate, change the import and nothing else: without `weight` the numbers are torch's, if at least one example
    is not ignored and soft targets sum to 1. It is a subclass of torch's class, so that libraries which recognise
    torch's class (skorch, to return probabilities) recognise this one.

    The numbers differ from torch's in four cases. With weighting="torch" they are torch's there too:

    - w_i is a weight of the example: weight[label] if the label is known, else sum_k t_k weight_k. torch multiplies
      the classes within a smoothed target, which changes the minimiser (pytorch#104776).
    - the mean divides by the sum of these weights, for both labels and probabilities (pytorch#107680); `normalizer`
      replaces it, so that the means over micro-batches add up to the mean over the batch.
    - a batch in which every example is left out has loss 0 and gradient 0, not nan (pytorch#70348).
    - smoothing keeps the mass of a soft target, which torch changes if it is not 1.

    The result has at least the precision of float32; with weighting="torch" the dtype of torch's result.

    Args:
        weight: (K,) float, >= 0, one weight per class; a buffer. With weighting="torch" it may be negative.
        size_average: deprecated in torch; only None is accepted, use `reduction`.
        ignore_index: label of an example to leave out. Soft targets mark such examples in ``Targets.ignored``.
        reduce: deprecated in torch; only None is accepted, use `reduction`.
        reduction: "mean", "sum" or "none".
        label_smoothing: in [0, 1], in the given convention; added to any smoothing of Targets.
        convention: what `label_smoothing` means, see :func:`softtargets.targets.convert_smoothing`; "all" is torch's.
        prior: (K,) probabilities that the smoothing is spread over; None: uniform; a buffer.
        weighting: "example", or "torch" for torch's numbers in all cases.
        class_dim: the dimension of the classes; for (K,) logits without a batch it is 0.

    Raises:
        ValueError: if a hyper-parameter is out of range or unknown.
        TypeError: if a tensor is not floating-point.

    Special cases:
        weight=None gives the numbers of torch.nn.CrossEntropyLoss, smoothed or not, if soft targets sum to 1.

    Notes:
        Arguments, their order and defaults are those of torch.nn.CrossEntropyLoss; the additional ones are keywords.

    Complexity:
        As :func:`softtargets.losses.cross_entropy`: one pass, gradient included; labels never become N x K targets.

    When to use:
        In place of torch.nn.CrossEntropyLoss.

    Limitations:
        The mean over a small weighted batch is normalised by that batch: pass `normalizer`.

    Aliases:
        LabelSmoothingCrossEntropy; SoftTargetCrossEntropy; label-smoothing cross entropy;
        LabelSmoothingLoss; LabelSmoother

    Example:
        >>> logits, labels = torch.tensor([[2.0, 0.0, 0.0], [0.0, 0.0, 0.0]]), torch.tensor([0, -100])
        >>> round(float(CrossEntropyLoss(label_smoothing=0.3)(logits, labels)), 4)        # log(e^2 + 2) - 0.8 * 2
        0.6395
    """

    weight: Tensor | None
    prior: Tensor | None
    reduction: Reduction  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: None = None,
        ignore_index: int = -100,
        reduce: None = None,
        reduction: Reduction = "mean",
        label_smoothing: float = 0.0,
        *,
        convention: str = "all",
        prior: Tensor | None = None,
        weighting: Literal["example", "torch"] = "example",
        class_dim: int = 1,
    ) -> None:
        for argument, given in (("size_average", size_average), ("reduce", reduce)):
            if given is not None:
                remedy = "use reduction='mean', 'sum' or 'none'"
                raise fail(argument, "None, because it is deprecated in torch", repr(given), remedy)
        check_settings(reduction, ignore_index)
        for argument, chosen, known in (("convention", convention, CONVENTIONS), ("weighting", weighting, WEIGHTINGS)):
            if chosen not in known:
                raise unknown(argument, str(chosen), known)
        if weight is not None:
            check_class_weight("weight", weight, negative=weighting == "torch")
        if prior is not None:
            check_prior("prior", prior)
        check_fraction("label_smoothing", label_smoothing)
        if isinstance(label_smoothing, Tensor):
            remedy = "use float(label_smoothing), or targets.smooth for one number per example"
            raise fail_type("label_smoothing", "a number", "Tensor", remedy)
        super().__init__(
            weight, ignore_index=int(ignore_index), reduction=reduction, label_smoothing=float(label_smoothing)
        )
        self.register_buffer("prior", prior)
        self.convention, self.weighting, self.class_dim = convention, weighting, int(class_dim)

    def forward(
        self,
        input: Tensor,
        target: Tensor | Targets,
        *,
        mask: Tensor | None = None,
        normalizer: float | Tensor | None = None,
    ) -> Tensor:
        """Return the loss, () or with "none" one value per example.

        Args:
            input: (N, K, ...) float logits, or (K,).
            target: (N, ...) integer labels, float probabilities of the shape of the logits, or Targets of (N, ...).
            mask: (N, ...) bool, True for an example to include; None: include every example that is not ignored.
            normalizer: what "mean" divides the weighted sum by, instead of the sum of the weights.
        """
        class_dim = class_dim_of(input, self.class_dim)
        plain = mask is None and normalizer is None and self.weighting == "example"
        buffers, smoothing = self._buffers, self.label_smoothing  # a module's attributes that are tensors are slow
        if (
            plain
            and buffers["weight"] is None
            and buffers["prior"] is None
            and (self.convention == "all" or not smoothing)
        ):
            result = of_labels(
                input,
                target,
                class_dim=class_dim,
                ignore_index=self.ignore_index,
                reduction=self.reduction,
                smoothing=smoothing,
            )
            if result is not None:
                return result
        rows: RowSettings = {
            "class_dim": class_dim,
            "ignore_index": self.ignore_index,
            "mask": mask,
        }
        if self.ignore_index >= 0:
            self._check_ignore_index(target)
        if self.weight is None and not self.label_smoothing and normalizer is None and self.weighting == "example":
            return losses.cross_entropy(input, target, **rows, reduction=self.reduction)
        return self._smoothed_or_weighted(input, target, rows, normalizer)

    def _smoothed_or_weighted(
        self, logits: Tensor, target: Tensor | Targets, rows: RowSettings, normalizer: float | Tensor | None
    ) -> Tensor:
        # the weight of a label that does not exist cannot be looked up
        batch = read_examples(logits, target, **rows, zero_left_out=False, deferred=self.weight is None)
        size = batch.logits.shape[-1]
        check_fits("weight", self.weight, size)
        check_fits("prior", self.prior, size)
        smoothed, reduced = WEIGHTINGS[self.weighting]
        if self.label_smoothing:
            settings = {"num_classes": size, "convention": self.convention, "prior": self.prior}
            soft = smoothed(batch.targets, self.label_smoothing, **settings)
            batch = replace(batch, labels=None, soft=soft)
        return reduced(batch, logits, rows["class_dim"], self.weight, self.reduction, normalizer)

    def _check_ignore_index(self, target: Tensor | Targets) -> None:
        if isinstance(target, Tensor) and target.is_floating_point():
            required, remedy = "negative if targets are probabilities", "leave rows out with mask="
            raise fail("ignore_index", required, self.ignore_index, remedy)

    def extra_repr(self) -> str:
        return (
            f"weight={shape_of(self.weight)}, ignore_index={self.ignore_index}, reduction={self.reduction!r}, "
            f"label_smoothing={self.label_smoothing}, convention={self.convention!r}, prior={shape_of(self.prior)}, "
            f"weighting={self.weighting!r}, class_dim={self.class_dim}"
        )


def _by_example(
    batch: LossInputs,
    logits: Tensor,
    class_dim: int,
    class_weight: Tensor | None,
    reduction: Reduction,
    normalizer: float | Tensor | None,
) -> Tensor:
    weight = weights_of(batch, class_weight)
    return reduced_cross_entropy(batch, logits, reduction, weight=weight, normalizer=normalizer, class_dim=class_dim)


def _as_torch(
    batch: LossInputs,
    logits: Tensor,
    class_dim: int,
    class_weight: Tensor | None,
    reduction: Reduction,
    normalizer: float | Tensor | None,
) -> Tensor:
    targets = batch.targets
    if class_weight is not None:
        batch = replace(batch, labels=None, soft=reweight(targets, class_weight))
    over_nothing = None
    if reduction == "mean" and normalizer is None:
        normalizer = torch.as_tensor(_normalizer_of_torch(targets, class_weight), device=logits.device)
        over_nothing = normalizer == 0
    result = reduced_cross_entropy(batch, logits, reduction, normalizer=normalizer, class_dim=class_dim)
    if over_nothing is not None:
        result = torch.where(over_nothing, torch.nan, result)  # as in torch; ours would be 0
    # under autocast torch computes this loss in float32
    return result if torch.is_autocast_enabled(logits.device.type) else result.to(logits.dtype)


def _normalizer_of_torch(targets: Targets, class_weight: Tensor | None) -> Tensor | int:
    if class_weight is not None and targets.labels is not None:
        chosen = at_least_float32(class_weight)[targets.labels]
        return chosen.sum() if targets.ignored is None else chosen.masked_fill(targets.ignored, 0.0).sum()
    return targets.shape.numel() if targets.ignored is None else (~targets.ignored).sum()


def _smooth_as_torch(
    targets: Targets, smoothing: float, *, num_classes: int, convention: str, prior: Tensor | None
) -> Targets:
    """Smooth soft targets by the same amount whatever their mass, as torch does, and labels by :func:`smooth`."""
    if targets.values is None:
        return smooth(targets, smoothing, num_classes=num_classes, convention=convention, prior=prior)
    values = targets.values
    rate = convert_smoothing(smoothing, num_classes=num_classes, source=convention)
    spread = replace(targets, prior=prior).prior_over(num_classes, values.dtype, values.device)
    return replace(targets, values=(1 - rate) * values + rate * spread)


# how targets are smoothed, and how losses are weighted and reduced
WEIGHTINGS = {"example": (smooth, _by_example), "torch": (_smooth_as_torch, _as_torch)}
