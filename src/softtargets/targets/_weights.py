"""Class weights: what they mean for an example, and what torch makes of them."""

from dataclasses import replace

import torch
from torch import Tensor

from softtargets._checks import check_class_weight, check_labels, entry, first_bad, values_visible, where
from softtargets._errors import fail
from softtargets._numerics import rows_of
from softtargets.targets._targets import Targets

__all__ = ["example_weights", "reweight"]

# A weight of a class that rounding made negative is not a negative weight.
ROUNDING = 1e-6


def example_weights(targets: Targets, class_weight: Tensor) -> Tensor:
    """Weigh every example by its class, which leaves its target, and so what is learned, alone.

    class_weight[label] where the label is known, else sum_k t_k class_weight_k

    Hand it to ``losses.reduce(..., weight=)``, whose mean divides by the sum of these weights.

    Args:
        targets: Targets; without labels they must be non-negative.
        class_weight: (K,) non-negative float.

    Returns:
        (...) float; ignored examples 0.

    Raises:
        ValueError: where shapes differ, a class weight is negative, or targets without a label have a negative entry.

    Special cases:
        class weights of 1 give the mass of soft targets; a hard target and its one-hot vector weigh the same.

    Notes:
        torch weighs the classes instead, see :func:`reweight`; for hard labels both are the same.

    Complexity:
        O(N) with labels or factored targets, O(R K + N) with a class table, O(N K) for dense ones.

    When to use:
        classes are imbalanced and targets are smoothed, corrected or soft.

    Limitations:
        the mean over a batch has the batch's own normaliser: give `normalizer` where batches are small.

    Example:
        >>> from softtargets.targets import smooth
        >>> example_weights(smooth(torch.tensor([0, 2]), 0.3), torch.tensor([1.0, 1.0, 20.0])).tolist()
        [1.0, 20.0]
    """
    weight = _checked(targets, class_weight)
    if targets.labels is not None:
        result = rows_of(weight, targets.labels)
    else:
        _check_non_negative(targets, len(weight))
        result = _weighted(targets, weight).mass()
    return result if targets.ignored is None else result.masked_fill(targets.ignored, 0.0)


def reweight(targets: Targets, class_weight: Tensor) -> Targets:
    """Weigh the classes within every target, as torch's cross entropy does with ``weight=``.

    t_k <- class_weight_k * t_k

    The minimiser moves with it: smoothing 0.3 under weights 1, 1, 20 teaches label 0 to be predicted as
    [.276, .034, .690] (pytorch#104776). :func:`example_weights` is what is usually meant.

    Args:
        targets: Targets.
        class_weight: (K,) float, non-negative where `rest` is spread over the classes.

    Returns:
        Targets of the same form, whose mass is sum_k t_k class_weight_k.

    Raises:
        ValueError: where shapes differ, a class weight is negative where it may not be, or none of the classes that
            smoothing is spread over has weight.

    Special cases:
        class weights of 1 change nothing; on hard targets the loss is example_weights times the unweighted one.

    Notes:
        ``torch.nn.CrossEntropyLoss(weight=)``, which divides the mean by the sum of class_weight[label] for integer
        labels and by N for soft ones (pytorch#107680): give that as `normalizer` to ``losses.reduce``.

    Complexity:
        O(N), no N x K target unless they are dense.

    When to use:
        torch's numbers are to be met.

    Limitations:
        it teaches the wrong class as soon as a target is soft (pytorch#104776).

    Example:
        >>> from softtargets.targets import smooth
        >>> t = reweight(smooth(torch.tensor([0]), 0.3), torch.tensor([1.0, 1.0, 20.0]))
        >>> (t.to_dense(3) / t.mass()).round(decimals=3).tolist()
        [[0.276, 0.034, 0.69]]
    """
    # over negative weights there is no prior to spread `rest` by
    weight = _checked(targets, class_weight, negative=targets.rest is None)
    result = _weighted(targets, weight)
    if targets.rest is None or result.rest is None:
        return result
    prior = targets.prior if targets.prior is not None else torch.ones_like(weight)
    if values_visible(result.rest, targets.rest):
        index = first_bad((result.rest == 0) & (targets.rest != 0))
        if index is not None:
            required = "a weight above 0 among the classes that smoothing is spread over"
            raise fail("class_weight", required, f"none for {where(index)}", "give one of them weight")
    prior = prior.to(weight) * weight
    # over the classes of a mask it is normalised where it is used
    return replace(result, prior=prior / prior.sum())


def _checked(targets: Targets, class_weight: Tensor, *, negative: bool = False) -> Tensor:
    """Return the class weights beside the targets, once both fit."""
    check_class_weight("class_weight", class_weight, num_classes=targets.num_classes, negative=negative)
    for labels in (targets.labels, targets.index):
        if labels is not None:
            check_labels("labels", labels, len(class_weight))
    holder = next(tensor for tensor in (targets.value, targets.table, targets.values) if tensor is not None)
    return class_weight.to(device=holder.device, dtype=torch.promote_types(class_weight.dtype, holder.dtype))


def _weighted(targets: Targets, weight: Tensor) -> Targets:
    """Multiply every class with its weight; what `rest` is spread by is left to the caller."""
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
    """Require targets whose weights can be averaged over."""
    parts = [tensor for tensor in (targets.value, targets.rest, targets.table, targets.values) if tensor is not None]
    if not values_visible(*parts):
        return
    if not any(bool((part < 0).any()) for part in parts):
        return
    # a negative part may still leave every class a weight of at least 0: look at the sums
    weights = targets.to_dense(num_classes)
    bad = first_bad(weights < -ROUNDING)
    if bad is not None:
        got = f"{entry(weights, bad)} at {where(bad)}"
        raise fail("targets", "labels, or entries of at least 0", got, "make them from labels")
