"""Targets with few of many classes: a teacher's largest or sampled probabilities, and annotators' votes."""

import torch
from torch import Tensor

from softtargets._checks import check_count, check_entries, first_bad, values_visible, where
from softtargets._errors import fail, fail_type
from softtargets._numerics import at_least_float32, rows_of
from softtargets.targets._rules import dense
from softtargets.targets._targets import Targets
from softtargets.targets.checks import check_generator, check_residual, check_tensor, classes_last, positive

__all__ = ["sample", "top_k", "votes"]


def top_k(
    teacher_log_probs: Tensor, *, k: int, residual: str = "uniform", prior: Tensor | None = None, class_dim: int = -1
) -> Targets:
    """Keep the k largest probabilities of a teacher, and spread or drop the remaining mass.

    t_j = p_j for the k largest; the remaining mass goes to the other classes, or is dropped

    "uniform" spreads it evenly over the K - k other classes, and "prior" in proportion to the prior. "drop" leaves a
    mass below 1, whose minimiser is p_j / mass on the k classes. Internally the residual is spread over all classes and
    subtracted from the k again, which is exact: the k classes keep p_j.

    Args:
        teacher_log_probs: (..., K) float, natural logarithms of probabilities.
        k: number of classes to keep, from 1 to K.
        residual: "uniform", "prior" or "drop".
        prior: (K,) float, probabilities; only with residual="prior".
        class_dim: dimension of the classes in `teacher_log_probs`.

    Returns:
        Targets, factored, with k classes each; mass 1, or the sum of the k probabilities with "drop".

    Raises:
        ValueError: if the rows are not log-probabilities, k or `residual` is out of range, or a prior is missing, given
            with another residual, or has no mass outside the k classes.
        TypeError: if teacher_log_probs is not a floating-point tensor.

    Special cases:
        k=K gives the teacher's probabilities, whatever `residual`.

    Notes:
        Anshumann et al. 2025 name the variants (cited from a secondary source). Their ghost token is not a target,
        because it depends on the student: see ``losses.ghost_cross_entropy``, which takes the targets of "drop".

    Complexity:
        One pass over the teacher's (N, K); the targets are N x k.

    When to use:
        A teacher's outputs are stored and K is large.

    Limitations:
        Biased: the student learns a tail that differs from the teacher's (Anshumann et al. 2025). :func:`sample` is
        unbiased.

    Example:
        >>> teacher = torch.tensor([[0.0, 0.5, 0.25, 0.25, 0.0]])
        >>> top_k(teacher.log(), k=1).to_dense(5).tolist()
        [[0.125, 0.5, 0.125, 0.125, 0.125]]
    """
    log_probs = _checked(teacher_log_probs, class_dim)
    size = log_probs.shape[-1]
    check_count("k", k, most=size, remedy="k is the number of classes to keep")
    if prior is not None:
        check_tensor("prior", prior, "a floating-point tensor")
    check_residual(residual, prior, size)
    top, index = log_probs.topk(k, dim=-1)
    value = top.exp()
    if residual == "drop" or k == size:
        return Targets(index=index, value=value, size=size)
    # summed over the others: 1 - sum_topk p would cancel if little mass is left
    left = log_probs.scatter(-1, index, -torch.inf).logsumexp(-1).exp()
    if prior is None:
        rest = left * size / (size - k)
        return Targets(index=index, value=value - rest[..., None] / size, rest=rest, size=size)
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
    n_draws: int,
    proposal_temperature: float = 1.0,
    class_dim: int = -1,
    generator: torch.Generator | None = None,
) -> Targets:
    """Sample classes of a teacher, weighted so that the expected target is the teacher's distribution.

    t = mean over draws j ~ q of onehot(j) * p_j / q_j,  q proportional to p^(1 / proposal_temperature)

    A class drawn twice appears twice in the target. The weights are not normalised, which would bias them: the mass is
    1 at a proposal temperature of 1, and 1 in expectation at any other. The variance of t_k is
    p_k^2 (1 / q_k - 1) / n_draws.

    Args:
        teacher_log_probs: (..., K) float, natural logarithms of probabilities.
        n_draws: number of draws per example, with replacement.
        proposal_temperature: above 0; above 1, improbable classes are drawn more often than under the teacher's
            distribution.
        class_dim: dimension of the classes in `teacher_log_probs`.
        generator: on the device of the teacher's tensor; None: torch's global generator.

    Returns:
        Targets, factored, with n_draws classes each.

    Raises:
        ValueError: if the rows are not log-probabilities, n_draws is below 1, or the temperature is not positive and
            finite.
        TypeError: if teacher_log_probs is not a floating-point tensor or the temperature is not a number.

    Special cases:
        a teacher with probability 1 on one class always gives that class.

    Notes:
        Random Sampling Knowledge Distillation (Anshumann et al. 2025, cited from a secondary source).

    Complexity:
        One pass over the teacher's (N, K); the targets are N x n_draws. Anshumann et al. report that about a dozen
        draws suffice.

    When to use:
        A teacher's outputs are stored and K is large.

    Limitations:
        Adds noise to the gradient, most with few draws and a flat teacher. If the targets are stored, every epoch uses
        the same draws.

    Example:
        >>> sample(torch.tensor([[0.0, 1.0]]).log(), n_draws=2).to_dense(2).tolist()
        [[0.0, 1.0]]
    """
    log_probs = _checked(teacher_log_probs, class_dim).detach()
    check_count("n_draws", n_draws, remedy="a dozen or more is usual")
    temperature = positive("proposal_temperature", proposal_temperature, "1 draws from the teacher's probabilities")
    check_generator(generator, log_probs.device)
    size = log_probs.shape[-1]
    log_proposal = (log_probs / temperature).log_softmax(-1)
    flat = log_proposal.exp().reshape(-1, size)
    if len(flat):
        index = torch.multinomial(flat, int(n_draws), replacement=True, generator=generator)
    else:  # multinomial rejects an empty batch
        index = torch.empty((0, int(n_draws)), dtype=torch.int64, device=flat.device)
    index = index.reshape(*log_probs.shape[:-1], int(n_draws))
    value = (log_probs.gather(-1, index) - log_proposal.gather(-1, index)).exp() / int(n_draws)
    return Targets(index=index, value=value, size=size)


def votes(counts: Tensor, *, class_dim: int = -1) -> Targets:
    """Annotator votes: vote counts as soft labels.

    t = counts / sum of the row

    Args:
        counts: (..., K) non-negative, int or float.
        class_dim: dimension of the classes.

    Returns:
        Targets, dense, of mass 1; float64 for integer counts.

    Raises:
        ValueError: if there are fewer than two classes, at the first negative or infinite count, and at the first row
            without votes.
        TypeError: if counts are not a tensor of real numbers.

    Special cases:
        one vote gives hard(labels).

    Notes:
        The soft labels of Peterson et al. 2019 (not checked against the paper), without smoothing: to smooth, add a
        constant to the counts.

    Complexity:
        An N x K target, as large as the counts.

    When to use:
        Several annotators labelled each example.

    Limitations:
        Few votes are a noisy estimate, and annotators are not equally reliable.

    Aliases:
        soft labels; human label distributions; soft labels of annotators

    Topics:
        soft labels

    References:
        Peterson et al. 2019, *Human Uncertainty Makes Classification More Robust*, ICCV

    Example:
        >>> votes(torch.tensor([[3, 1, 0]])).to_dense().tolist()
        [[0.75, 0.25, 0.0]]
    """
    check_tensor("counts", counts, "a tensor of vote counts")
    if counts.is_complex() or counts.dtype == torch.bool:
        raise fail_type("counts", "a tensor of vote counts", f"dtype {counts.dtype}", "use integer or float counts")
    if not counts.is_floating_point():
        counts = counts.to(torch.float32 if counts.device.type == "mps" else torch.float64)
    counts = at_least_float32(classes_last("counts", counts, class_dim))
    total = counts.sum(-1, keepdim=True)
    check_entries("counts", counts, lambda n: (n >= 0) & n.isfinite(), "at least 0, finite", "fix that count")
    check_entries("counts", total[..., 0], lambda n: n != 0, "a vote in every row", "drop that example")
    return dense(counts / total)


def _checked(log_probs: Tensor, class_dim: int) -> Tensor:
    """Return log-probabilities of a teacher as (..., K) in at least float32, checked to be normalised."""
    log_probs = classes_last("teacher_log_probs", log_probs, class_dim)
    wide = at_least_float32(log_probs)
    if values_visible(wide):
        tolerance = 1e-3 if wide.dtype == log_probs.dtype else 3e-2
        sums = wide.logsumexp(-1)
        bad = first_bad(~(sums.abs() <= tolerance))
        if bad is not None:
            got = f"a sum of {float(sums[bad].exp()):g} at {where(bad)}"
            required = "logarithms of probabilities that sum to 1"
            raise fail("teacher_log_probs", required, got, "use teacher_logits.log_softmax(-1)")
    return wide
