"""Class weights: as weights of examples, and as torch applies them within the target."""

from dataclasses import replace

import torch
from torch import Tensor

from softtargets._checks import check_class_weight, entry, first_bad, read_labels, values_visible, where
from softtargets._errors import fail
from softtargets._numerics import rows_of
from softtargets.targets._shared import as_targets
from softtargets.targets._targets import Targets
from softtargets.targets.checks import check_tensor

__all__ = ["example_weights", "reweight"]

# A class weight that rounding made slightly negative does not count as negative.
ROUNDING = 1e-6


def example_weights(targets: Targets | Tensor, class_weight: Tensor, *, ignore_index: int | None = -100) -> Tensor:
    """Weight each example by the weight of its class, without changing its target.

    class_weight[label] if the label is known, else sum_k t_k class_weight_k

    Pass the result to ``losses.reduce(..., weight=)``, whose mean divides by the sum of these weights.

    Args:
        targets: (...) integer labels or Targets; Targets without labels must be non-negative.
        class_weight: (K,) non-negative float.
        ignore_index: label of an example to leave out; None: no label is ignored.

    Returns:
        (...) float; 0 for ignored examples.

    Raises:
        ValueError: if shapes differ, a label is out of range, a class weight is negative, or targets without a label
            have a negative entry.
        TypeError: if targets are neither integer labels nor Targets, or class_weight is not floating-point.

    Special cases:
        class weights of 1 give the mass of soft targets; a hard target and its one-hot vector get the same weight.

    Notes:
        torch weights the classes within the target instead, see :func:`reweight`; for hard labels both are the same.

    Complexity:
        O(N) with labels or factored targets, O(R K + N) with a class table, O(N K) for dense targets.

    When to use:
        Classes are imbalanced and targets are smoothed, corrected or soft.

    Limitations:
        The mean over a batch is divided by the sum of the weights in that batch: pass `normalizer` if batches are
        small.

    Example:
        >>> from softtargets.targets import smooth
        >>> example_weights(smooth(torch.tensor([0, 2]), 0.3), torch.tensor([1.0, 1.0, 20.0])).tolist()
        [1.0, 20.0]
    """
    targets = as_targets("targets", targets, ignore_index=ignore_index)
    weight = _checked(targets, class_weight)
    if targets.labels is not None:
        result = rows_of(weight, targets.labels)
    else:
        _check_non_negative(targets, len(weight))
        result = _weighted(targets, weight).mass()
    return result if targets.ignored is None else result.masked_fill(targets.ignored, 0.0)


def reweight(targets: Targets | Tensor, class_weight: Tensor, *, ignore_index: int | None = -100) -> Targets:
    """Weight the classes within every target, as torch's cross entropy does with ``weight=``.

    t_k <- class_weight_k * t_k

    This changes the minimiser: with smoothing 0.3 and weights 1, 1, 20, a model learns to predict [.276, .034, .690]
    for label 0 (pytorch#104776). Use :func:`example_weights` unless the numbers must match torch's.

    Args:
        targets: (...) integer labels or Targets.
        class_weight: (K,) float; must be non-negative if the targets have smoothing (`rest`).
        ignore_index: label of an example to leave out; None: no label is ignored.

    Returns:
        Targets of the same form, with mass sum_k t_k class_weight_k.

    Raises:
        ValueError: if shapes differ, a label is out of range, a class weight is negative where it may not be, or all
            classes that smoothing is spread over have weight 0.
        TypeError: if targets are neither integer labels nor Targets, or class_weight is not floating-point.

    Special cases:
        class weights of 1 change nothing; for hard targets the loss is example_weights times the unweighted loss.

    Notes:
        The same as ``torch.nn.CrossEntropyLoss(weight=)``. torch divides the mean by the sum of class_weight[label] for
        integer labels and by N for soft targets (pytorch#107680): pass that number as `normalizer` to
        ``losses.reduce``.

    Complexity:
        O(N); no N x K target is built unless the targets are dense.

    When to use:
        The numbers must match torch's.

    Limitations:
        It changes the learned distribution whenever a target is soft (pytorch#104776).

    Example:
        >>> from softtargets.targets import smooth
        >>> t = reweight(smooth(torch.tensor([0]), 0.3), torch.tensor([1.0, 1.0, 20.0]))
        >>> (t.to_dense(3) / t.mass()).round(decimals=3).tolist()
        [[0.276, 0.034, 0.69]]
    """
    targets = as_targets("targets", targets, ignore_index=ignore_index)
    # negative weights would make the prior negative that spreads `rest`
    weight = _checked(targets, class_weight, negative=targets.rest is None)
    result = _weighted(targets, weight)
    if targets.rest is None or result.rest is None:
        return result
    prior = targets.prior if targets.prior is not None else torch.ones_like(weight)
    if values_visible(result.rest, targets.rest):
        index = first_bad((result.rest == 0) & (targets.rest != 0))
        if index is not None:
            required = "a weight above 0 among the classes that smoothing is spread over"
            raise fail(
                "class_weight", required, f"none for {where(index)}", "give at least one of them a weight above 0"
            )
    prior = prior.to(weight) * weight
    # with a mask, the prior is normalised over the valid classes where it is used
    return replace(result, prior=prior / prior.sum())


def _checked(targets: Targets, class_weight: Tensor, *, negative: bool = False) -> Tensor:
    """Return the class weights on the device of the targets, checked against them."""
    check_tensor("class_weight", class_weight, "a floating-point tensor")
    check_class_weight("class_weight", class_weight, num_classes=targets.num_classes, negative=negative)
    for labels in (targets.labels, targets.index):
        if labels is not None:
            read_labels("labels", labels, num_classes=len(class_weight))
    holder = next(tensor for tensor in (targets.value, targets.table, targets.values) if tensor is not None)
    return class_weight.to(device=holder.device, dtype=torch.promote_types(class_weight.dtype, holder.dtype))


def _weighted(targets: Targets, weight: Tensor) -> Targets:
    """Multiply every class by its weight; the caller reweights the prior that spreads `rest`."""
    if targets.values is not None:
        return replace(targets, values=targets.values * weight)
    if targets.table is not None:
        return replace(targets, table=targets.table * weight)
    index, value = targets.factors()
    rest = targets.rest
    if rest is not None:
        mean = (targets.prior_over(len(weight), rest.dtype, rest.device) * weight).sum(-1)
        rest = rest * mean
    return replace(targets, value=value * rows_of(weight, index), rest=rest)


def _check_non_negative(targets: Targets, num_classes: int) -> None:
    """Require targets without negative entries."""
    parts = [tensor for tensor in (targets.value, targets.rest, targets.table, targets.values) if tensor is not None]
    if not values_visible(*parts):
        return
    if not any(bool((part < 0).any()) for part in parts):
        return
    # a negative part may still leave every class a weight of at least 0: check the dense form
    weights = targets.to_dense(num_classes)
    bad = first_bad(weights < -ROUNDING)
    if bad is not None:
        got = f"{entry(weights, bad)} at {where(bad)}"
        raise fail(
            "targets",
            "labels, or entries of at least 0",
            got,
            "create them from integer labels, so that the label is known",
        )
