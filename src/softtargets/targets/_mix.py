"""Convex combinations of targets."""

import torch
from torch import Tensor

from softtargets._errors import fail
from softtargets.targets._shared import as_targets, as_wide, column, priors_differ, same_mask
from softtargets.targets._targets import Targets
from softtargets.targets.checks import per_example

__all__ = ["mix"]


def mix(
    a: Targets | Tensor, b: Targets | Tensor, weight: float | Tensor, *, ignore_index: int | None = -100
) -> Targets:
    """Mix two sets of targets: mixup, CutMix, distillation at temperature 1.

    t = weight * a + (1 - weight) * b

    Mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019) draw the weight from Beta(c, c), with c = 0.2 (ImageNet) and
    c = 1, and mix the inputs accordingly. In CutMix the weight is the fraction of the image that still shows `a`.
    Distillation at temperature 1, LS-Distill and born-again networks (Furlanello et al. 2018) are ``mix(labels,
    dense(teacher_probs), 1 - w)``, where w is the weight of the teacher.

    Args:
        a, b: (...) integer labels or Targets, of the same shape.
        weight: a number, or a (...) tensor with one number per example, in [0, 1].
        ignore_index: label of an example to leave out; None: no label is ignored.

    Returns:
        Targets: factored if both are and their priors agree, otherwise dense. An example ignored in `a` or `b` is
        ignored. The labels are kept if only one side has labels, as in distillation, or both hold the same tensor.

    Raises:
        ValueError: if shapes, numbers of classes or valid classes differ, or a weight is outside [0, 1] or not one per
            example.
        TypeError: if `a` or `b` are neither integer labels nor Targets.

    Special cases:
        weight=1 gives a; weight=0 gives b.

    Notes:
        Lambda of mixup and CutMix; 1 - w in distillation, where w is beta of Müller et al. 2019.

    Complexity:
        O(N) if both are factored, otherwise an N x K target.

    When to use:
        Inputs are mixed, or a teacher's probabilities are stored and its temperature is 1.

    Limitations:
        Predictions of a model trained with mixup are underconfident on unmixed inputs (Thulasidasan et al. 2019 report
        better calibration, Wang et al. 2023 worse after temperature scaling; both not checked against the papers). A
        model trained with smoothing is a worse teacher (Müller et al. 2019, Sec. 4; disputed by Shen et al. 2021).

    Aliases:
        mixup; mixup_target

    Example:
        >>> mix(torch.tensor([0]), torch.tensor([2]), 0.75).to_dense(3).tolist()
        [[0.75, 0.0, 0.25]]
    """
    a = as_targets("a", a, ignore_index=ignore_index)
    b = as_targets("b", b, ignore_index=ignore_index)
    if a.shape != b.shape:
        raise fail("b", f"the shape of a, {tuple(a.shape)}", tuple(b.shape), "pass one entry of b for each entry of a")
    weight = per_example("weight", weight, a.shape)
    sizes = a.num_classes, b.num_classes
    if None not in sizes and sizes[0] != sizes[1]:
        raise fail("b", f"{sizes[0]} classes, as a", sizes[1], "use the same classes for both")
    weight = as_wide(as_wide(weight, a), b)
    other = 1 - weight
    ignored = a.ignored if b.ignored is None else b.ignored if a.ignored is None else a.ignored | b.ignored
    labels = b.labels if a.labels is None else a.labels if b.labels is None or a.labels is b.labels else None
    if not same_mask(a.valid, b.valid):
        raise fail("b", "the valid classes of a", "another mask", "give both the same tensor as valid=")
    if a.value is None or b.value is None or priors_differ(a, b.prior if b.rest is not None else a.prior):
        size = sizes[0] or sizes[1]
        values = column(weight) * a.to_dense(size) + column(other) * b.to_dense(size)
        return Targets(values=values, labels=labels, valid=a.valid, ignored=ignored)
    index_a, value_a = a.factors()
    index_b, value_b = b.factors()
    rest = None
    if a.rest is not None or b.rest is not None:
        rest = weight * (0.0 if a.rest is None else a.rest) + other * (0.0 if b.rest is None else b.rest)
        if not isinstance(rest, Tensor) or rest.shape != a.shape:
            rest = torch.as_tensor(rest, dtype=value_a.dtype, device=value_a.device).expand(a.shape)
    return Targets(
        index=torch.cat([index_a, index_b], -1),
        value=torch.cat([column(weight) * value_a, column(other) * value_b], -1),
        rest=rest,
        prior=a.prior if a.rest is not None else b.prior,
        labels=labels,
        valid=a.valid,
        ignored=ignored,
        size=a.size or b.size,
    )
