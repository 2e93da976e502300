"""Cross entropy over the classes that a target names and one ghost class for all the others."""

import torch
from torch import Tensor

from softtargets._checks import check_entries
from softtargets._errors import fail
from softtargets._numerics import at_least_float32, times
from softtargets.losses._cross_entropy import cross_entropy
from softtargets.losses.inputs import read_examples
from softtargets.losses.reduction import Reduction
from softtargets.targets import Targets

__all__ = ["ghost_cross_entropy"]

ROUNDING = 1e-3  # largest deviation of a mass from 1 that is attributed to rounding


def ghost_cross_entropy(
    logits: Tensor,
    targets: Targets | Tensor,
    *,
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: Tensor | None = None,
    reduction: Reduction = "none",
) -> Tensor:
    """Ghost cross entropy: cross entropy over the classes in the target and one ghost class for all other classes.

    sum_k t_k * -log p_k + (1 - sum(t)) * -log sum_others p

    The target of the ghost class is the mass that is not on the named classes. The probability that the student gives
    to the other classes is compared as a whole: the gradient is that of a target which spreads the remaining mass as
    the student itself does.

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        targets: factored Targets without a prior, with non-negative weights and a mass of at most 1, as
            ``targets.top_k(..., residual="drop")`` makes; or (...) integer labels, whose mass is 1.
        class_dim: the dimension of the classes.
        ignore_index: label of an example to leave out. Targets mark such examples in ``Targets.ignored``.
        mask: (...) bool, True for an example to include; None: include every example that is not ignored.
        reduction: "none", "mean" or "sum"; the mean is over the examples that are not left out.

    Returns:
        (...) float32 or wider, nats, >= 0, 0 for an example that is left out; () with "mean" or "sum". Infinite if mass
        remains and there is no other class, or all others are masked; in that case a remaining mass of at most 1e-3 is
        attributed to rounding and dropped.

    Raises:
        ValueError: if shapes differ, or targets are not factored, have a prior, a negative weight or a mass above 1.
        TypeError: if logits are not a floating-point tensor, or targets are neither a tensor nor Targets.

    Special cases:
        targets of mass 1 give cross_entropy; targets of mass 0 give -log(1 - sum_named p).

    Notes:
        The ghost token of Anshumann et al. 2025 (cited from a secondary source); sum_topk p of the teacher is
        `targets.mass()`.

    Complexity:
        cross_entropy and one more pass over the logits.

    When to use:
        Only the teacher's top-k probabilities are cached, and nothing should be assumed about the others.

    Limitations:
        The student's probabilities of the other classes keep their own shape, whatever the teacher's;
        :func:`softtargets.targets.sample` is unbiased.

    Example:
        >>> from softtargets.targets import top_k
        >>> teacher = torch.tensor([[0.5, 0.25, 0.125, 0.125]])
        >>> made = top_k(teacher.log(), k=1, residual="drop")
        >>> ghost_cross_entropy(torch.tensor([[0.5, 0.0, 0.5, 0.0]]).log(), made).exp().round(decimals=4).tolist()
        [2.0]
    """
    batch = read_examples(logits, targets, class_dim=class_dim, ignore_index=ignore_index, mask=mask)
    made = batch.targets
    if made.index is None or made.value is None or made.rest is not None:
        required, remedy = "labels, or factored Targets without a prior", "use targets.top_k(..., residual='drop')"
        raise fail("targets", required, "probabilities of all classes or a prior", remedy)
    mass = made.mass()
    check_entries("targets", made.value, lambda weight: weight >= 0, "weights of at least 0", "fix that weight")
    check_entries("targets", mass, lambda mass: mass <= 1 + ROUNDING, "a mass of at most 1", "fix that target")
    z = at_least_float32(batch.logits)
    if made.valid is not None:
        z = z.masked_fill(~made.valid, -torch.inf)
    others = z.scatter(-1, made.index, -torch.inf)
    # if there is no other class, the mass that rounding left cannot go anywhere
    none = (others == -torch.inf).all(-1)
    left = (1 - mass).clamp(min=0.0).to(z.dtype)
    left = left.masked_fill(none & (left <= ROUNDING), 0.0)
    if batch.left_out is not None:
        left = left.masked_fill(batch.left_out, 0.0)
    tail = others.masked_fill(none[..., None], 0.0).logsumexp(-1).masked_fill(none, -torch.inf)
    named = cross_entropy(batch.logits, made)
    return batch.finish(named + times(left, z.logsumexp(-1) - tail), reduction)
