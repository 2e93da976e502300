"""How sure a model is of each prediction, high where it is: what to sort by before answering only some."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets import metrics
from softtargets._errors import fail
from softtargets.calibration._inputs import CHUNK, check_logits, examples, largest

__all__ = ["LogitNorm", "choose_logit_norm", "logit_normalized", "margin", "max_probability", "negative_entropy"]


def max_probability(logits: Tensor) -> Tensor:
    """Largest probability of each row.

    max_k softmax(z)_k

    Args:
        logits: (..., K) float; -inf for masked classes.

    Returns:
        (...) float64, a fraction, at least 1 / K.

    Raises:
        ValueError: where a row holds NaN or +inf or has no finite logit (first bad row named), or K < 2.
        TypeError: where logits are not floating-point.

    Special cases:
        logits all alike give 1 / K.

    Example:
        >>> round(float(max_probability(torch.tensor([[0.0, math.log(3.0)]]))), 6)
        0.75
    """
    return _by_chunks(lambda shifted: 1 / shifted.exp().sum(-1), logits)


def margin(logits: Tensor) -> Tensor:
    """Difference between the two largest probabilities of each row; of probabilities, not of logits.

    softmax(z)_first - softmax(z)_second

    Args:
        logits: (..., K) float; -inf for masked classes.

    Returns:
        (...) float64, in [0, 1].

    Raises:
        ValueError: where a row holds NaN or +inf or has no finite logit (first bad row named), or K < 2.
        TypeError: where logits are not floating-point.

    Special cases:
        two classes equally likely and most likely give 0; with two classes it is 2 max_probability - 1.

    Example:
        >>> round(float(margin(torch.tensor([[0.0, math.log(3.0)]]))), 6)
        0.5
    """

    def of_shifted(shifted: Tensor) -> Tensor:
        second = shifted.topk(2, -1).values[..., 1]
        return -second.expm1() / shifted.exp().sum(-1)

    return _by_chunks(of_shifted, logits)


def negative_entropy(logits: Tensor) -> Tensor:
    """Entropy of each row's probabilities, negated so that high is sure.

    sum_k p_k log p_k,  p = softmax(z),  0 log 0 = 0

    Args:
        logits: (..., K) float; -inf for masked classes.

    Returns:
        (...) float64, nats, from -log K to 0.

    Raises:
        ValueError: where a row holds NaN or +inf or has no finite logit (first bad row named), or K < 2.
        TypeError: where logits are not floating-point.

    Special cases:
        logits all alike give -log K.

    Example:
        >>> round(float(negative_entropy(torch.zeros(1, 4)).exp()), 6)        # -log 4
        0.25
    """
    return _by_chunks(lambda shifted: -torch.special.entr(shifted.softmax(-1)).sum(-1), logits)


def logit_normalized(logits: Tensor, p: float) -> Tensor:
    """Largest centred logit over the norm of all of them.

    max_k z'_k / ||z'||_p,  z' = z - mean(z)        # Cattelan & Silva 2023; for smoothed models, Xia et al. 2025

    Scaling all logits, or adding a number to them, changes nothing. Label smoothing holds the largest logit down more
    where a prediction is right than where it is wrong, which spoils the ranking by the largest probability; dividing by
    the norm corrects it (Xia et al. 2025).

    Args:
        logits: (..., K) float; -inf for masked classes, which take part in neither mean nor norm.
        p: of the norm, above 0; ``math.inf`` takes the largest absolute logit. See :func:`choose_logit_norm`.

    Returns:
        (...) float64, in [0, 1].

    Raises:
        ValueError: where p is not above 0, a row holds NaN or +inf or has no finite logit (first bad row named), or
            K < 2.
        TypeError: where logits are not floating-point.

    Special cases:
        logits all alike give 0.

    Example:
        >>> logits = torch.tensor([[3.0, 0.0, 0.0]])        # centred: 2, -1, -1
        >>> [round(float(logit_normalized(logits, p)), 6) for p in (1, 2, math.inf)]        # 2/4, 2/sqrt(6), 2/2
        [0.5, 0.816497, 1.0]
    """
    if not p > 0:
        raise fail("p", "above 0", f"{p:g}", "choose it by choose_logit_norm; 2 is the Euclidean norm")

    def of_shifted(shifted: Tensor) -> Tensor:
        finite = shifted > -torch.inf
        mean = shifted.masked_fill(~finite, 0.0).sum(-1) / finite.sum(-1)
        centred = (shifted - mean[..., None]).masked_fill(~finite, 0.0)
        # in units of the largest, so that no power overflows; logits all alike stay 0
        largest = centred.abs().amax(-1, keepdim=True)
        units = centred / torch.where(largest > 0, largest, 1.0)
        norm = torch.linalg.vector_norm(units, p, dim=-1)
        return units.amax(-1) / torch.where(norm > 0, norm, 1.0)

    return _by_chunks(of_shifted, logits)


@dataclass(frozen=True)
class LogitNorm:
    """The norm that ranks best on the examples it was chosen on.

    Args:
        p: the candidate of the least AURC, the first of several.
        candidates: (C,) as given.
        aurc: (C,) float64, :func:`softtargets.metrics.aurc` of :func:`logit_normalized` at each candidate.
        max_probability_aurc: AURC of :func:`max_probability` on the same examples: where it is less, use that.
    """

    p: float
    candidates: tuple[float, ...]
    aurc: Tensor
    max_probability_aurc: float


def choose_logit_norm(
    logits: Tensor,
    labels: Tensor,
    *,
    candidates: Sequence[float] = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, math.inf),
) -> LogitNorm:
    """Choose p of :func:`logit_normalized` on validation examples, by the area under the risk-coverage curve (AURC).

    Args:
        logits: (N, K) float, of examples that no result is reported on.
        labels: (N,) int64 in [0, K).
        candidates: values of p, each above 0.

    Returns:
        LogitNorm.

    Raises:
        ValueError: where shapes differ, a label is out of range, a row holds NaN or +inf or has no finite logit (first
            bad row named), or there is no candidate or one that is not above 0.
        TypeError: where logits are not floating-point or labels not integers.

    Example:
        >>> logits = torch.tensor([[2.0, 1.0, 0.0], [3.0, 2.9, 0.0]])        # right, wrong
        >>> choose_logit_norm(logits, torch.tensor([0, 1]), candidates=(1.0, 8.0)).aurc.tolist()
        [0.25, 0.25]
    """
    if not candidates:
        raise fail("candidates", "at least one p", "none", "leave them out for the usual ones")
    # before any score, so that an error names what is wrong with the whole
    rows = examples(logits, labels)
    areas = [
        metrics.aurc(None, rows.labels, logits=rows.logits, scores=logit_normalized(rows.logits, p)) for p in candidates
    ]
    plain = metrics.aurc(None, rows.labels, logits=rows.logits, scores=max_probability(rows.logits))
    found = torch.stack(areas)
    return LogitNorm(candidates[int(found.argmin())], tuple(candidates), found, float(plain))


def _by_chunks(score: Callable[[Tensor], Tensor], logits: Tensor) -> Tensor:
    """Apply a score to the rows in float64, each less its largest logit; one chunk's copy at a time."""
    check_logits(logits)
    logits = logits.detach()
    top = largest(logits)
    rows, tops = logits.reshape(-1, logits.shape[-1]), top.reshape(-1, 1)
    step = max(1, CHUNK // logits.shape[-1])
    parts = [score(z.double() - t) for z, t in zip(rows.split(step), tops.split(step), strict=True)]
    return torch.cat(parts).reshape(top.shape)
