"""How far an estimated transition would be off for the sample's sake."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets._checks import check_fraction, check_int
from softtargets.matrices import Transition
from softtargets.noise._inputs import check_shapes
from softtargets.noise._joint import ConfidentJoint
from softtargets.noise._quality import unmixed

__all__ = ["TransitionInterval", "bootstrap_transition"]

Estimator = Callable[[Tensor, Tensor], Transition | ConfidentJoint]


@dataclass(frozen=True)
class TransitionInterval:
    """An estimated transition and noise rate with percentile intervals of the bootstrap.

    Args:
        estimate: from all examples.
        low: (K, K) float64, lower ends, entry by entry.
        high: (K, K) float64, upper ends.
        noise_rate: estimated share of wrong labels, a fraction.
        noise_rate_low: its lower end.
        noise_rate_high: its upper end.
        confidence: of each interval, a fraction.
    """

    estimate: Transition
    low: Tensor
    high: Tensor
    noise_rate: float
    noise_rate_low: float
    noise_rate_high: float
    confidence: float


def bootstrap_transition(
    estimator: Estimator,
    probs: Tensor,
    labels: Tensor,
    *,
    draws: int = 100,
    confidence: float = 0.95,
    rows: int = 50_000,
    generator: torch.Generator | None = None,
) -> TransitionInterval:
    """Estimate a transition, and again from examples drawn with replacement, and say how far the estimates lie apart.

    ends = estimate + sqrt(m / N) (quantiles of the draws - estimate),  m = min(N, rows) examples a draw

    With m = N that is the percentile bootstrap (Efron 1979); a draw of m < N examples varies more by sqrt(N / m), which
    is taken back (the m out of n bootstrap), so that a draw costs no more however many examples there are.

    Args:
        estimator: (probs, labels) -> Transition or ConfidentJoint: ``confident_joint``, ``dual_t``, ``trusted_set``, or
            ``lambda probs, labels: anchor_points(probs)``.
        probs: (N, K) float, as the estimator takes them.
        labels: (N,) int64, as the estimator takes them.
        draws: at least 2; 100 give ends that are themselves uncertain by a fifth of the width.
        confidence: in [0, 1].
        rows: the most examples of a draw, at least 1.
        generator: of the CPU; the only source of randomness. None: torch's global one.

    Returns:
        TransitionInterval. The noise rate is the joint's own, or 1 - sum_k prior_k T[k, k] with the clean prior that
        best explains the frequencies of the labels.

    Raises:
        ValueError: where shapes differ, draws, confidence or rows are out of range, and as the estimator does.
        TypeError: where draws or rows are no whole numbers, and as the estimator does.

    Special cases:
        examples that are all alike give an interval without width.

    Notes:
        ends are entry by entry, kept in [0, 1]: K x K statements, not one on the whole matrix. Of a biased estimator
        all draws can lie on one side of the estimate, as of confident_joint with few labels a class: the end on the
        other side is then the estimate itself, which so lies in its interval always.

    Complexity:
        `draws` estimates from m rows, and one from all; m x K numbers beside probs.

    When to use:
        it is to be known whether two entries, or two rates, differ by more than the sample explains.

    Limitations:
        only the sample's part of the error: what an estimator is wrong by with infinitely many examples is in no
        interval, nor is the training of the model. Extremes, as of anchor_points without a percentile, do not obey the
        square root.

    Example:
        >>> probs = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
        >>> from softtargets.noise import confident_joint
        >>> found = bootstrap_transition(confident_joint, probs, torch.tensor([0, 0, 1, 1]), draws=5)
        >>> found.noise_rate_low, found.noise_rate_high
        (0.0, 0.0)
    """
    check_shapes(probs, labels)
    check_fraction("confidence", confidence)
    check_int("draws", draws, least=2, remedy="draw twice or more")
    check_int("rows", rows, least=1, remedy="draw one row or more")
    estimate, rate = _estimated(estimator, probs, labels)
    size, drawn = len(labels), min(len(labels), rows)
    samples = []
    for _ in range(draws):
        chosen = torch.randint(size, (drawn,), generator=generator)
        found, found_rate = _estimated(estimator, probs[chosen], labels[chosen])
        samples.append(torch.cat([found.to_dense().flatten(), torch.tensor([found_rate], dtype=torch.float64)]))
    centre = torch.cat([estimate.to_dense().flatten(), torch.tensor([rate], dtype=torch.float64)])
    tails = torch.tensor([(1 - confidence) / 2, (1 + confidence) / 2], dtype=torch.float64)
    quantiles = torch.stack(samples).quantile(tails, dim=0)
    ends = (centre + math.sqrt(drawn / size) * (quantiles - centre)).clamp(0, 1)
    low, high = ends[0].minimum(centre), ends[1].maximum(centre)
    shape = (estimate.num_classes, estimate.num_classes)
    return TransitionInterval(
        estimate, low[:-1].view(shape), high[:-1].view(shape), rate, float(low[-1]), float(high[-1]), confidence
    )


def _estimated(estimator: Estimator, probs: Tensor, labels: Tensor) -> tuple[Transition, float]:
    found = estimator(probs, labels)
    if isinstance(found, ConfidentJoint):
        return found.transition, found.noise_rate
    matrix = found.to_dense()
    frequencies = torch.bincount(labels.long(), minlength=len(matrix)).double() / len(labels)
    uniform = torch.full_like(frequencies, 1 / len(matrix))
    prior = unmixed(frequencies[None], matrix, uniform, rounds=1000)[0]
    return found, float(found.noise_rate(prior))
