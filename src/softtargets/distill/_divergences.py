"""Divergences of a student from a teacher whose probabilities are known for all, the largest, or sampled classes."""

import math
from typing import Literal

import torch
from torch import Tensor

from softtargets._checks import first_bad, values_visible, where
from softtargets._errors import fail, unknown
from softtargets._numerics import at_least_float32, times
from softtargets.distill._inputs import check_support, check_temperature, read_pair
from softtargets.distill._logits import term_weights, with_labels
from softtargets.distill._teacher_rows import TeacherRows
from softtargets.losses.reduction import Reduction
from softtargets.targets import Targets
from softtargets.targets.checks import fraction

__all__ = ["divergence_loss"]

SKEWED = ("skewed_kl", "skewed_reverse_kl")
DIVERGENCES = ("forward_kl", "reverse_kl", "jensen_shannon", *SKEWED)
TAILS = ("ghost", "uniform")
SCALES = ("squared", "none")
SKEW = 0.1

Divergence = Literal["forward_kl", "reverse_kl", "jensen_shannon", "skewed_kl", "skewed_reverse_kl"]


def divergence_loss(
    student_logits: Tensor,
    teacher_logits: Tensor | TeacherRows,
    labels: Tensor | Targets | None = None,
    *,
    divergence: Divergence = "forward_kl",
    skew: float | None = None,
    tail: Literal["ghost", "uniform"] = "ghost",
    kd_weight: float | Tensor = 1.0,
    label_weight: float | Tensor | None = None,
    temperature: float | None = None,
    scale: Literal["squared", "none"] = "squared",
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: Tensor | None = None,
    reduction: Reduction = "none",
) -> Tensor:
    """Divergences of distillation: KL in both directions, Jensen-Shannon and skewed KL, of a live or cached teacher.

    label_weight * H(labels, q) + kd_weight * s * D(p(T), q(T))

    forward_kl:         KL(p || q)
    reverse_kl:         KL(q || p)
    jensen_shannon:     KL(p || m) / 2 + KL(q || m) / 2,  m = (p + q) / 2
    skewed_kl:          KL(p || a p + (1 - a) q)                # Ko et al. 2024, a is `skew`
    skewed_reverse_kl:  KL(q || (1 - a) p + a q)

    p are the teacher's probabilities, q the student's, both softened at `temperature` T; s = T^2, or 1 with
    scale="none". The label term uses temperature 1.

    Of a cached teacher with k classes and the mass of the others, the divergence is:

    - exact, if k = K or no mass is left.
    - with tail="ghost" that of the k + 1 masses, where all other classes count as one. It is a lower bound of the
      divergence of all classes, for every divergence above (the data processing inequality), and equal to it where the
      student divides its tail as the teacher does.
    - with tail="uniform" that of a teacher whose other classes share their mass evenly: an estimate, which may be above
      or below.
    - of draws an unbiased estimate of KL(p || q) and of its gradient, over the draws. The other divergences are not
      linear in p, so that draws cannot estimate them without bias: they are refused.

    Args:
        student_logits: (..., K) float; -inf for a class that does not exist, for which the teacher must have
            probability 0.
        teacher_logits: (..., K) float logits or log-probabilities, -inf for a class without probability; or
            :class:`TeacherRows` of (...), as read from a cache. No gradient flows to them.
        labels: (...) integers in [0, K), probabilities of the shape of the logits, or Targets of (...); None is allowed
            if `label_weight` is 0.
        divergence: D.
        skew: a in [0, 1), for the two skewed divergences only; None: 0.1.
        tail: how the classes of which only the total mass is known enter.
        kd_weight: weight of the teacher term, a number or a (...) tensor with one number per example; at least 0, and
            at most 1 if `label_weight` is None.
        label_weight: weight of the label term, likewise, at least 0; None: 1 - kd_weight.
        temperature: T, above 0; None: that of the TeacherRows, and 1 for logits. For TeacherRows it must be theirs.
        scale: "squared": T^2, which keeps the size of the gradient as T grows; "none": 1.
        class_dim: dimension of the classes in logits and soft labels.
        ignore_index: integer label of an example to leave out of both terms.
        mask: (...) bool, False for examples to leave out; their logits and labels may have any value.
        reduction: "none", "mean" over the examples that are not left out, or "sum".

    Returns:
        (...) float32 or wider, nats, one value per example, 0 for examples that are left out; or () if reduced. An
        estimate from draws may be negative.

    Raises:
        ValueError: if shapes or numbers of classes differ, labels are missing or out of range, a name is unknown, a
            number is out of range, the temperature is not that of the TeacherRows, or the divergence is infinite: the
            student excludes (-inf) a class that the teacher has, or, for reverse_kl, the other way round.
        TypeError: if logits are not floating-point tensors, labels neither integers nor probabilities nor Targets, the
            mask is not boolean, or draws are used for another divergence than forward_kl.

    Special cases:
        forward_kl of logits gives kd_loss; skew=0 gives forward_kl and reverse_kl; the teacher's own logits give 0.

    Notes:
        Reverse KL of a teacher's fixed outputs, without sampling from the student. The values of jensen_shannon are at
        most log 2. DistiLLM's formulas are cited from memory.

    Complexity:
        O(N K), about four tensors of the size of the logits. :func:`linear_divergence_loss` keeps one chunk of them.

    When to use:
        Language models: reverse KL and the skewed ones let a small student ignore modes that it cannot represent, where
        forward KL spreads its mass over all of them.

    Limitations:
        The mass of the ghost class is compared, not the order within it. With a tail of almost no mass, reverse KL is
        dominated by the student's mass outside the k classes: prefer jensen_shannon or a skewed divergence there.

    Aliases:
        reverse KL; reverse_kl; forward_kl; RKL; Jensen-Shannon divergence; jsd; JSD; generalized_jsd_loss;
        GKD; skewed KL; SKL; SRKL; DistiLLM; MiniLLM

    Topics:
        distillation, many classes

    References:
        Ko et al. 2024, *DistiLLM: Towards Streamlined Distillation for Large Language Models*, ICML

    Example:
        >>> student, teacher = torch.zeros(1, 2), torch.tensor([[3.0, 1.0]]).log()
        >>> round(float(divergence_loss(student, teacher)), 4)        # 3/4 log 3/2 + 1/4 log 1/2
        0.1308
        >>> round(float(divergence_loss(student, teacher, divergence="reverse_kl")), 4)        # 1/2 log 2/3 + 1/2 log 2
        0.1438
    """
    skew = read_divergence(divergence, skew, tail, scale)
    pair = read_pair(
        student_logits,
        teacher_logits,
        labels,
        class_dim=class_dim,
        ignore_index=ignore_index,
        mask=mask,
        teacher_rows=True,
    )
    temperature = read_temperature(teacher_logits, temperature)
    kd_weight, label_weight = term_weights(kd_weight, label_weight, pair.student)
    softened, factor = pair.student / temperature, temperature**2 if scale == "squared" else 1.0
    teacher = pair.teacher
    if isinstance(teacher, TeacherRows) and teacher.drawn:
        if divergence != "forward_kl":
            teacher.spread()
        taught = _of_draws(softened, teacher)
    else:
        if isinstance(teacher, Tensor):
            teacher = TeacherRows((teacher / temperature).log_softmax(-1))
        assert isinstance(teacher, TeacherRows)
        log_teacher, log_student = _masses(softened, teacher, tail)
        _check_finite(divergence, log_teacher, log_student)
        taught = _divergence(log_teacher, log_student, divergence, skew)
    if pair.left_out is not None:
        taught = taught.masked_fill(pair.left_out, 0.0)
    return pair.finish(with_labels(kd_weight * factor * taught, pair, label_weight), reduction)


def read_divergence(divergence: str, skew: float | None, tail: str, scale: str) -> float:
    """Check the settings of a divergence; return its skew."""
    for argument, given, known in (
        ("divergence", divergence, DIVERGENCES),
        ("tail", tail, TAILS),
        ("scale", scale, SCALES),
    ):
        if given not in known:
            raise unknown(argument, given if isinstance(given, str) else repr(given), known)
    if skew is None:
        return SKEW
    if divergence not in SKEWED:
        raise fail("skew", f"None for '{divergence}'", f"{skew}", f"use divergence='{SKEWED[0]}', or leave it out")
    skew = fraction("skew", skew)
    if skew == 1:
        raise fail("skew", "below 1, at which every divergence is 0", "1", "0.1 is usual")
    return skew


def read_temperature(teacher: Tensor | TeacherRows, temperature: float | None) -> float:
    """Return the temperature of both sides, which must be that of a cached teacher."""
    known = teacher.temperature if isinstance(teacher, TeacherRows) else None
    if temperature is None:
        return 1.0 if known is None else known
    found = check_temperature("temperature", temperature)
    if known is not None and found != known:
        remedy = f"leave it out, or write a cache with temperature={found:g}"
        raise fail("temperature", f"{known:g}, at which the teacher was softened", f"{found:g}", remedy)
    return found


def _masses(softened: Tensor, teacher: TeacherRows, tail: str) -> tuple[Tensor, Tensor]:
    """Return log-masses of teacher and student of the same classes: all K, or the k kept ones and all others."""
    log_student = softened.log_softmax(-1)
    if teacher.classes is None or teacher.log_tail is None or tail == "uniform":
        return teacher.spread().to(log_student.dtype), log_student
    classes = teacher.classes.long()
    others = log_student.scatter(-1, classes, -torch.inf)
    none = (others == -torch.inf).all(-1)  # its logsumexp would have a gradient of NaN
    rest = others.masked_fill(none[..., None], 0.0).logsumexp(-1).masked_fill(none, -torch.inf)
    known = torch.cat([at_least_float32(teacher.log_probs), at_least_float32(teacher.log_tail)[..., None]], -1)
    return known.to(log_student.dtype), torch.cat([log_student.gather(-1, classes), rest[..., None]], -1)


def _check_finite(divergence: str, log_teacher: Tensor, log_student: Tensor) -> None:
    """Require that no class with probability on one side is excluded by the other, where the divergence is infinite."""
    if divergence == "forward_kl":
        check_support(log_student, log_teacher > -torch.inf)
    elif divergence == "reverse_kl" and values_visible(log_teacher, log_student):
        at = first_bad((log_teacher == -torch.inf) & (log_student > -torch.inf))
        if at is not None:
            got = f"no mass for entry {at[-1]} at {where(at[:-1])}, where the student has some"
            remedy = "set the student's logit to -inf there, or use divergence='skewed_reverse_kl'"
            raise fail("teacher_logits", "mass wherever the student has some, for reverse_kl", got, remedy)


def _divergence(log_p: Tensor, log_q: Tensor, divergence: str, skew: float) -> Tensor:
    """Return the divergence of two (..., M) distributions, given as log-masses."""
    absent = (log_p == -torch.inf) & (log_q == -torch.inf)
    p, q = log_p.exp(), log_q.exp()
    # finite where both are absent: there the weights p and q are 0, and -inf - -inf would be NaN
    log_p, log_q = log_p.masked_fill(absent, 0.0), log_q.masked_fill(absent, 0.0)
    if divergence == "forward_kl":
        return times(p, log_p - log_q).sum(-1)
    if divergence == "reverse_kl":
        return times(q, log_q - log_p).sum(-1)
    if divergence == "jensen_shannon":
        middle = _mixture(log_p, log_q, 0.5)
        return 0.5 * (times(p, log_p - middle) + times(q, log_q - middle)).sum(-1)
    if divergence == "skewed_kl":
        return times(p, log_p - _mixture(log_p, log_q, skew)).sum(-1)
    return times(q, log_q - _mixture(log_q, log_p, skew)).sum(-1)


def _mixture(log_p: Tensor, log_q: Tensor, share: float) -> Tensor:
    """Return log(share * p + (1 - share) * q)."""
    if share == 0:
        return log_q
    return torch.logaddexp(log_p + math.log(share), log_q + math.log1p(-share))


def _of_draws(softened: Tensor, teacher: TeacherRows) -> Tensor:
    """Return the mean over the draws of p / q * (log p - log of the student's probability)."""
    assert teacher.classes is not None
    log_student = softened.log_softmax(-1).gather(-1, teacher.classes.long())
    check_support(log_student, torch.ones_like(log_student, dtype=torch.bool))
    gaps = at_least_float32(teacher.log_probs).to(log_student.dtype) - log_student
    if teacher.log_weights is not None:
        gaps = gaps * at_least_float32(teacher.log_weights).exp()
    return gaps.mean(-1)
