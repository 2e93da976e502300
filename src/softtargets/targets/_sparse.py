"""Targets of a few classes out of many: a teacher's largest, a teacher's drawn, annotators' votes."""

import torch
from torch import Tensor

from softtargets._checks import (
    check_classes_last,
    check_count,
    check_entries,
    first_bad,
    values_visible,
    where,
)
from softtargets._errors import fail, fail_type
from softtargets._numerics import at_least_float32, rows_of
from softtargets.targets._rules import dense
from softtargets.targets._targets import Targets
from softtargets.targets.checks import check_residual

__all__ = ["sample", "top_k", "votes"]


def top_k(teacher_log_probs: Tensor, *, k: int, residual: str = "uniform", prior: Tensor | None = None) -> Targets:
    """Keep a teacher's k largest probabilities, and say where the rest of its mass goes.

    t_j = p_j for the k largest;  the mass they leave is spread over the other classes, or dropped

    "uniform" spreads it evenly over the K - k others, "prior" in proportion to the prior, and "drop" leaves a mass
    below 1, whose minimiser is p_j / mass on the k. A factored target spreads over all classes, so the others' share is
    spread over all and taken off the k again: exact, and the k keep p_j.

    Args:
        teacher_log_probs: (..., K) float, natural logarithms of probabilities.
        k: classes kept, from 1 to K.
        residual: "uniform", "prior" or "drop".
        prior: (K,) probabilities, for "prior" alone.

    Returns:
        Targets, factored, k classes each; mass 1, or sum_topk p under "drop".

    Raises:
        ValueError: where the rows are not log-probabilities, k or `residual` is out of range, or a prior is missing,
            given to another residual, or empty outside the k.

    Special cases:
        k=K gives the teacher's probabilities, whatever `residual`.

    Notes:
        Anshumann et al. 2025 name the variants (second-hand). Their ghost token is no target, since what it compares
        depends on the student: see ``losses.ghost_cross_entropy``, which takes what "drop" makes.

    Complexity:
        one pass over the teacher's (N, K); the targets are N x k.

    When to use:
        a teacher's outputs are cached and K is large.

    Limitations:
        biased: the student is taught a tail that the teacher does not have (Anshumann et al. 2025); :func:`sample`
        is not.

    Example:
        >>> teacher = torch.tensor([[0.0, 0.5, 0.25, 0.25, 0.0]])
        >>> top_k(teacher.log(), k=1).to_dense(5).tolist()
        [[0.125, 0.5, 0.125, 0.125, 0.125]]
    """
    log_probs = _checked(teacher_log_probs)
    size = log_probs.shape[-1]
    check_count("k", k, most=size, remedy="choose at most all classes")
    check_residual(residual, prior, size)
    top, index = log_probs.topk(k, dim=-1)
    value = top.exp()
    if residual == "drop" or k == size:
        return Targets(index=index, value=value)
    # the sum over the others, since 1 - sum_topk p would be rounding where little is left
    left = log_probs.scatter(-1, index, -torch.inf).logsumexp(-1).exp()
    if prior is None:
        rest = left * size / (size - k)
        return Targets(index=index, value=value - rest[..., None] / size, rest=rest)
    prior = prior.to(log_probs)
    at_top = rows_of(prior, index)
    # each row's own sum over the others: 1 - at_top.sum(-1) would cancel
    others = prior.expand_as(log_probs).scatter(-1, index, 0.0).sum(-1)
    if values_visible(others, left):
        bad = first_bad((others == 0) & (left > 0))
        if bad is not None:
            got = f"none at {where(bad)}"
            raise fail("prior", "mass outside the k largest classes", got, "use 'uniform' or 'drop'")
    rest = torch.where(left > 0, left / torch.where(others > 0, others, 1.0), 0.0)
    return Targets(index=index, value=value - rest[..., None] * at_top, rest=rest, prior=prior / prior.sum())


def sample(
    teacher_log_probs: Tensor,
    *,
    draws: int,
    proposal_temperature: float = 1.0,
    generator: torch.Generator | None = None,
) -> Targets:
    """Draw classes of a teacher, weighted so that the expected target is the teacher's distribution.

    t = mean over draws j ~ q of onehot(j) * p_j / q_j,  q proportional to p^(1 / proposal_temperature)

    A class drawn twice stands in the target twice. The weights are not divided by their sum, which would bias them, so
    that the mass is 1 at a proposal temperature of 1 and 1 in expectation at any other. The variance of t_k is
    p_k^2 (1 / q_k - 1) / draws.

    Args:
        teacher_log_probs: (..., K) float, natural logarithms of probabilities.
        draws: number of draws, with replacement.
        proposal_temperature: above 0; above 1 draws the tail more often than the teacher would.
        generator: of the teacher's device; the only source of randomness. None: torch's global one.

    Returns:
        Targets, factored, of `draws` classes each.

    Raises:
        ValueError: where the rows are not log-probabilities, or draws or the temperature is not positive and finite.

    Special cases:
        a certain teacher gives its class, whatever the draws.

    Notes:
        Random Sampling Knowledge Distillation (Anshumann et al. 2025, second-hand).

    Complexity:
        one pass over the teacher's (N, K); the targets are N x draws. They report that a dozen draws do.

    When to use:
        a teacher's outputs are cached and K is large.

    Limitations:
        noise in the gradient, most of it for few draws and a flat teacher; the same draw is reused where it is cached.

    Example:
        >>> sample(torch.tensor([[0.0, 1.0]]).log(), draws=2).to_dense(2).tolist()
        [[0.0, 1.0]]
    """
    log_probs = _checked(teacher_log_probs).detach()
    check_count("draws", draws, remedy="choose a dozen or more")
    if not 0 < proposal_temperature < float("inf"):
        raise fail("proposal_temperature", "above 0, finite", proposal_temperature, "1 draws as the teacher would")
    log_proposal = (log_probs / proposal_temperature).log_softmax(-1)
    flat = log_proposal.exp().reshape(-1, log_probs.shape[-1])
    index = torch.multinomial(flat, draws, replacement=True, generator=generator)
    index = index.reshape(*log_probs.shape[:-1], draws)
    value = (log_probs.gather(-1, index) - log_proposal.gather(-1, index)).exp() / draws
    return Targets(index=index, value=value)


def votes(counts: Tensor) -> Targets:
    """Annotator votes: counts of votes as soft labels.

    t = counts / sum of the row

    Args:
        counts: (..., K) non-negative, int or float.

    Returns:
        Targets, dense, of mass 1; float64 for integer counts.

    Raises:
        ValueError: where the shape is not (..., K) with K >= 2, at the first negative or infinite count and the first
            row without votes.
        TypeError: where counts are no tensor of real numbers.

    Special cases:
        one vote gives hard(labels).

    Notes:
        soft labels of Peterson et al. 2019 (from memory); no smoothing: add a constant to the counts for that.

    Complexity:
        an N x K target, as the counts are.

    When to use:
        several annotators labelled each example.

    Limitations:
        few votes are a noisy estimate, and annotators are not equally reliable.

    Aliases:
        soft labels; human label distributions

    Topics:
        soft labels

    References:
        Peterson et al. 2019, *Human Uncertainty Makes Classification More Robust*, ICCV

    Example:
        >>> votes(torch.tensor([[3, 1, 0]])).to_dense().tolist()
        [[0.75, 0.25, 0.0]]
    """
    if not isinstance(counts, Tensor) or counts.is_complex() or counts.dtype == torch.bool:
        got = f"dtype {counts.dtype}" if isinstance(counts, Tensor) else type(counts).__name__
        raise fail_type("counts", "a tensor of numbers of votes", got, "pass a torch.Tensor of ints or floats")
    if counts.ndim < 1 or counts.shape[-1] < 2:
        raise fail("counts", "shape (..., K) with K >= 2", tuple(counts.shape), "put the classes last")
    if not counts.is_floating_point():
        counts = counts.to(torch.float32 if counts.device.type == "mps" else torch.float64)
    counts = at_least_float32(counts)
    total = counts.sum(-1, keepdim=True)
    check_entries("counts", counts, lambda n: (n >= 0) & n.isfinite(), "at least 0, finite", "fix that count")
    check_entries("counts", total[..., 0], lambda n: n != 0, "a vote in every row", "drop that example")
    return dense(counts / total)


def _checked(log_probs: Tensor) -> Tensor:
    """Return the log-probabilities of a teacher in at least float32, once they are known to be that."""
    check_classes_last("teacher_log_probs", log_probs)
    wide = at_least_float32(log_probs)
    if values_visible(wide):
        tolerance = 1e-3 if wide.dtype == log_probs.dtype else 3e-2
        sums = wide.logsumexp(-1)
        bad = first_bad(~(sums.abs() <= tolerance))
        if bad is not None:
            got = f"a sum of {float(sums[bad].exp()):g} at {where(bad)}"
            required = "logarithms of probabilities that sum to 1"
            raise fail("teacher_log_probs", required, got, "take teacher_logits.log_softmax(-1)")
    return wide
