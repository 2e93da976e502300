"""The loss of targets that name a few classes, with one ghost class for all the others."""

import torch
from torch import Tensor

from softtargets._checks import check_entries
from softtargets._errors import fail
from softtargets._numerics import at_least_float32, times
from softtargets.losses._cross_entropy import cross_entropy
from softtargets.losses.inputs import as_targets, classes_last
from softtargets.targets import Targets

__all__ = ["ghost_cross_entropy"]

ROUNDING = 1e-3  # how far from 1 a mass may be by rounding alone


def ghost_cross_entropy(logits: Tensor, targets: Targets | Tensor, *, class_dim: int = -1) -> Tensor:
    """Ghost cross entropy: over the named classes and one ghost class that stands for all the others.

    sum_k t_k * -log p_k + (1 - sum(t)) * -log sum_others p

    The ghost's target is the mass that the named classes leave. What the student gives to the others is compared as a
    whole, and so it is no choice of t: the gradient is that of a target which spreads the mass left as the student
    itself does.

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        targets: factored Targets without a prior, of mass in [0, 1]: ``targets.top_k(..., residual="drop")``; or (...)
            int64 labels, which leave nothing.
        class_dim: where the classes are.

    Returns:
        (...) float32 or wider, nats, at least 0; ignored examples 0. Infinite where mass is left and no other class is
        there, or all are masked; up to 1e-3, what rounding leaves, is dropped there.

    Raises:
        ValueError: where shapes differ, or targets are not factored, have a prior, a negative weight or a mass above 1.
        TypeError: where logits are not floating-point, or targets are a floating-point tensor.

    Special cases:
        targets of mass 1 give cross_entropy; no class named with weight gives -log(1 - sum_named p).

    Notes:
        the ghost token of Anshumann et al. 2025 (second-hand); sum_topk p of the teacher is `targets.mass()`.

    Complexity:
        cross_entropy and one more pass over the logits.

    When to use:
        a teacher's top-k alone is cached, and nothing is to be assumed about its tail.

    Limitations:
        the student's tail keeps its own shape, whatever the teacher's; :func:`softtargets.targets.sample` is unbiased.

    Example:
        >>> from softtargets.targets import top_k
        >>> teacher = torch.tensor([[0.5, 0.25, 0.125, 0.125]])
        >>> made = top_k(teacher.log(), k=1, residual="drop")
        >>> ghost_cross_entropy(torch.tensor([[0.5, 0.0, 0.5, 0.0]]).log(), made).exp().round(decimals=4).tolist()
        [2.0]
    """
    moved, targets = classes_last(logits, class_dim), as_targets(targets)
    named = cross_entropy(logits, targets, class_dim=class_dim)
    if targets.index is None or targets.value is None or targets.rest is not None:
        raise fail("targets", "factored, without a prior", "others", "use targets.top_k(..., residual='drop')")
    z = at_least_float32(moved)
    if targets.ignored is not None:
        z = z.masked_fill(targets.ignored[..., None], 0.0)
    if targets.valid is not None:
        z = z.masked_fill(~targets.valid, -torch.inf)
    mass = targets.mass()
    check_entries("targets", targets.value, lambda weight: weight >= 0, "weights of at least 0", "fix that weight")
    check_entries("targets", mass, lambda mass: mass <= 1 + ROUNDING, "a mass of at most 1", "fix that target")
    others = z.scatter(-1, targets.index, -torch.inf)
    # where no other class is there, what rounding left of the mass has nowhere to go
    none = (others == -torch.inf).all(-1)
    left = (1 - mass).clamp(min=0.0).to(z.dtype)
    left = left.masked_fill(none & (left <= ROUNDING), 0.0)
    if targets.ignored is not None:
        left = left.masked_fill(targets.ignored, 0.0)
    tail = others.masked_fill(none[..., None], 0.0).logsumexp(-1).masked_fill(none, -torch.inf)
    return named + times(left, z.logsumexp(-1) - tail)
