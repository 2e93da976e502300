"""Confidence scores: by which to rank predictions, or to select those to answer."""

import math
import numbers
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets import metrics
from softtargets._arrays import ArrayLike, array_function
from softtargets._errors import fail, fail_type
from softtargets._results import TensorResult
from softtargets.calibration._inputs import CHUNK, check_logits, examples, largest

__all__ = ["LogitNorm", "choose_logit_norm", "logit_normalized", "margin", "max_probability", "negative_entropy"]


@array_function
def max_probability(logits: ArrayLike, *, class_dim: int = -1) -> Tensor:
    """Maximum softmax probability: the largest probability of each row.

    max_k softmax(z)_k

    Args:
        logits: (..., K) float; -inf for masked classes.
        class_dim: axis of the classes in `logits`.

    Returns:
        (...) float64, a fraction, at least 1 / K.

    Raises:
        ValueError: if a row has NaN, +inf or no finite logit (first bad row named), or K < 2.
        TypeError: if logits are not floating-point.

    Special cases:
        equal logits give 1 / K.

    Aliases:
        maximum softmax probability; MSP; confidence

    Example:
        >>> round(float(max_probability(torch.tensor([[0.0, math.log(3.0)]]))), 6)
        0.75
    """
    return _by_chunks(lambda shifted: 1 / shifted.exp().sum(-1), logits, class_dim)


@array_function
def margin(logits: ArrayLike, *, class_dim: int = -1) -> Tensor:
    """Margin: the difference between the two largest probabilities (not logits) of each row.

    softmax(z)_first - softmax(z)_second

    Args:
        logits: (..., K) float; -inf for masked classes.
        class_dim: axis of the classes in `logits`.

    Returns:
        (...) float64, in [0, 1].

    Raises:
        ValueError: if a row has NaN, +inf or no finite logit (first bad row named), or K < 2.
        TypeError: if logits are not floating-point.

    Special cases:
        a tie of the two most likely classes gives 0; with two classes it is 2 max_probability - 1.

    Example:
        >>> round(float(margin(torch.tensor([[0.0, math.log(3.0)]]))), 6)
        0.5
    """

    def of_shifted(shifted: Tensor) -> Tensor:
        second = shifted.topk(2, -1).values[..., 1]
        return -second.expm1() / shifted.exp().sum(-1)

    return _by_chunks(of_shifted, logits, class_dim)


@array_function
def negative_entropy(logits: ArrayLike, *, class_dim: int = -1) -> Tensor:
    """Negative entropy of each row's probabilities; high for confident predictions.

    sum_k p_k log p_k,  p = softmax(z),  0 log 0 = 0

    Args:
        logits: (..., K) float; -inf for masked classes.
        class_dim: axis of the classes in `logits`.

    Returns:
        (...) float64, nats, from -log K to 0.

    Raises:
        ValueError: if a row has NaN, +inf or no finite logit (first bad row named), or K < 2.
        TypeError: if logits are not floating-point.

    Special cases:
        equal logits give -log K.

    Aliases:
        entropy

    Example:
        >>> round(float(negative_entropy(torch.zeros(1, 4)).exp()), 6)        # -log 4
        0.25
    """
    return _by_chunks(lambda shifted: -torch.special.entr(shifted.softmax(-1)).sum(-1), logits, class_dim)


@array_function
def logit_normalized(logits: ArrayLike, p: float, *, class_dim: int = -1) -> Tensor:
    """Normalised maximum logit: the largest centred logit divided by the p-norm of all centred logits.

    max_k z'_k / ||z'||_p,  z' = z - mean(z)        # Cattelan & Silva 2023; for smoothed models, Xia et al. 2025

    The score does not change if all logits are scaled or shifted. Label smoothing lowers the largest logit more for
    right predictions than for wrong ones, which degrades the ranking by the largest probability. Dividing by the norm
    corrects this (Xia et al. 2025).

    Args:
        logits: (..., K) float; -inf for masked classes, which count in neither mean nor norm.
        p: order of the norm, above 0; ``math.inf`` is the largest absolute logit. See :func:`choose_logit_norm`.
        class_dim: axis of the classes in `logits`.

    Returns:
        (...) float64, in [0, 1].

    Raises:
        ValueError: if p is not above 0, a row has NaN, +inf or no finite logit (first bad row named), or K < 2.
        TypeError: if logits are not floating-point or p is not a number.

    Special cases:
        equal logits give 0.

    Aliases:
        MaxLogit-pNorm; logit normalization

    Example:
        >>> logits = torch.tensor([[3.0, 0.0, 0.0]])        # centred: 2, -1, -1
        >>> [round(float(logit_normalized(logits, p)), 6) for p in (1, 2, math.inf)]        # 2/4, 2/sqrt(6), 2/2
        [0.5, 0.816497, 1.0]
    """
    _check_order(p)

    def of_shifted(shifted: Tensor) -> Tensor:
        finite = shifted > -torch.inf
        mean = shifted.masked_fill(~finite, 0.0).sum(-1) / finite.sum(-1)
        centred = (shifted - mean[..., None]).masked_fill(~finite, 0.0)
        # in units of the largest one, so that no power overflows; equal logits stay 0
        largest = centred.abs().amax(-1, keepdim=True)
        units = centred / torch.where(largest > 0, largest, 1.0)
        norm = torch.linalg.vector_norm(units, p, dim=-1)
        return units.amax(-1) / torch.where(norm > 0, norm, 1.0)

    return _by_chunks(of_shifted, logits, class_dim)


@dataclass(frozen=True, eq=False, repr=False)
class LogitNorm(TensorResult):
    """The norm of :func:`logit_normalized` with the smallest AURC.

    Args:
        p: the candidate with the smallest AURC, the first one on ties.
        candidates: (C,) as given.
        aurc: (C,) float64, :func:`softtargets.metrics.aurc` of :func:`logit_normalized` at each candidate.
        max_probability_aurc: AURC of :func:`max_probability` on the same examples. If it is smaller, use that score.
    """

    p: float
    candidates: tuple[float, ...]
    aurc: Tensor
    max_probability_aurc: float

    def __repr__(self) -> str:
        smallest = f"{float(self.aurc.min()):.4g}, max_probability_aurc={self.max_probability_aurc:.4g}"
        return f"LogitNorm(p={self.p:g}, aurc={smallest})"


@array_function
def choose_logit_norm(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    candidates: Sequence[float] = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, math.inf),
    mask: ArrayLike | None = None,
    ignore_index: int = -100,
    class_dim: int = -1,
) -> LogitNorm:
    """Choose p of :func:`logit_normalized` on validation examples by the area under the risk-coverage curve (AURC).

    Args:
        logits: (..., K) float, of examples that are not used to report results.
        labels: (...) integers in [0, K).
        candidates: values of p, each above 0.
        mask: (...) bool, True for rows to include. Default: all rows.
        ignore_index: rows with this label are left out.
        class_dim: axis of the classes in `logits`.

    Returns:
        LogitNorm.

    Raises:
        ValueError: if shapes differ, a label is out of range, a row has NaN, +inf or no finite logit (first bad row
            named), or a candidate is not above 0 or there is none.
        TypeError: if logits are not floating-point, labels not integers, mask not bool or candidates not numbers.

    Example:
        >>> logits = torch.tensor([[2.0, 1.0, 0.0], [3.0, 2.9, 0.0]])        # right, wrong
        >>> choose_logit_norm(logits, torch.tensor([0, 1]), candidates=(1.0, 8.0)).aurc.tolist()
        [0.25, 0.25]
    """
    if isinstance(candidates, str) or not isinstance(candidates, Iterable) or isinstance(candidates, Tensor):
        raise fail_type("candidates", "a sequence of numbers", repr(candidates), "pass a tuple such as (1.0, 2.0)")
    candidates = tuple(candidates)
    if not candidates:
        raise fail("candidates", "at least one p", "none", "omit the argument for the default ones")
    for p in candidates:
        _check_order(p)
    rows = examples(logits, labels, mask, ignore_index, class_dim, soft=False)
    areas = [
        metrics.aurc(logits=rows.logits, labels=rows.labels, scores=logit_normalized(rows.logits, p))
        for p in candidates
    ]
    plain = metrics.aurc(logits=rows.logits, labels=rows.labels, scores=max_probability(rows.logits))
    found = torch.stack(areas)
    return LogitNorm(candidates[int(found.argmin())], candidates, found, float(plain))


def _check_order(p: object) -> None:
    remedy = "2 is the Euclidean norm; choose_logit_norm chooses p"
    if isinstance(p, bool) or not isinstance(p, numbers.Real):
        raise fail_type("p", "a number above 0", repr(p) if not isinstance(p, Tensor) else "a tensor", remedy)
    if not float(p) > 0:
        raise fail("p", "above 0", f"{float(p):g}", remedy)


def _by_chunks(score: Callable[[Tensor], Tensor], logits: Tensor, class_dim: int = -1) -> Tensor:
    """Apply a score to the rows in float64, each minus its largest logit, with the copy of one chunk at a time."""
    logits = check_logits(logits, class_dim)
    top = largest(logits)
    rows, tops = logits.reshape(-1, logits.shape[-1]), top.reshape(-1, 1)
    step = max(1, CHUNK // logits.shape[-1])
    parts = [score(z.double() - t) for z, t in zip(rows.split(step), tops.split(step), strict=True)]
    return torch.cat(parts).reshape(top.shape)
