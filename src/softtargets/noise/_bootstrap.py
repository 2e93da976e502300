"""Sampling error of an estimated transition."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets._arrays import ArrayLike, array_function
from softtargets._checks import check_fraction, check_int
from softtargets._errors import fail_type
from softtargets._results import TensorResult
from softtargets._rows import read_rows
from softtargets.matrices import Transition
from softtargets.noise._estimation import estimate_with_prior
from softtargets.noise._joint import ConfidentJoint
from softtargets.noise._rates import check_generator
from softtargets.noise.estimators.registry import find_estimator

__all__ = ["TransitionInterval", "bootstrap_transition"]

Method = str | Callable[[Tensor, Tensor], Transition | ConfidentJoint]


@dataclass(frozen=True, eq=False, repr=False)
class TransitionInterval(TensorResult):
    """An estimated transition and noise rate with bootstrap percentile intervals.

    Args:
        estimate: from all examples.
        low: (K, K) float64, lower ends, entry by entry.
        high: (K, K) float64, upper ends.
        noise_rate: estimated fraction of wrong labels.
        noise_rate_low: its lower end.
        noise_rate_high: its upper end.
        confidence: confidence level of each interval, a fraction.
        stratified_draws: number of draws that were repeated within each class, because a class was missing.
    """

    estimate: Transition
    low: Tensor
    high: Tensor
    noise_rate: float
    noise_rate_low: float
    noise_rate_high: float
    confidence: float
    stratified_draws: int = 0

    def __repr__(self) -> str:
        rate = f"noise_rate={self.noise_rate:.4g} [{self.noise_rate_low:.4g}, {self.noise_rate_high:.4g}]"
        return f"TransitionInterval({self.estimate.num_classes} classes, {rate}, confidence={self.confidence:g})"


@array_function
def bootstrap_transition(
    probs: ArrayLike,
    labels: ArrayLike,
    *,
    method: Method = "confident_joint",
    n_draws: int = 100,
    confidence: float = 0.95,
    max_rows: int = 50_000,
    generator: torch.Generator | None = None,
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: ArrayLike | None = None,
) -> TransitionInterval:
    """Estimate a transition with bootstrap intervals of its entries and of the noise rate.

    ends = estimate + sqrt(m / N) (quantiles of the draws - estimate),  m = min(N, max_rows) examples per draw

    With m = N this is the percentile bootstrap (Efron 1979). Draws of m < N examples vary more by sqrt(N / m), which
    the factor corrects (the m out of n bootstrap), so the cost of a draw is bounded.

    Args:
        probs: (..., K) float, as the method requires.
        labels: (...) integer labels in [0, K), as the method requires: observed labels, or the clean labels of a
            trusted set for method="trusted".
        method: a name as in :func:`estimate_transition`, or a function (probs, labels) -> Transition or ConfidentJoint,
            such as ``lambda probs, labels: estimate_transition(probs, labels, method="dual_t", percentile=97)``.
        n_draws: at least 2; with 100 the ends themselves are uncertain by about a fifth of the width.
        confidence: in [0, 1].
        max_rows: the largest number of examples per draw, at least 1.
        generator: on the CPU; the only source of randomness. None: torch's global one.
        class_dim: axis of the classes in probs.
        ignore_index: label of examples to leave out.
        mask: (...) bool, False for examples to leave out; None: include all.

    Returns:
        TransitionInterval. The noise rate is that of the joint if the method returns one; otherwise it is
        1 - sum_k prior_k T[k, k] with the clean prior that best explains the frequencies of the labels.

    Raises:
        ValueError: if shapes differ, the method is unknown, n_draws, confidence or max_rows is out of range, and as the
            method does.
        TypeError: if n_draws or max_rows is not an int, and as the method does.

    Special cases:
        examples that are all equal give an interval of width 0.

    Notes:
        A draw that lacks a class of `labels` is replaced by a draw within each class (stratified, each class as
        frequent as in the data and at least once), because a method may need every class, as "trusted" does.
        `stratified_draws` counts them. The intervals are computed for each entry separately, within [0, 1]; they do not
        hold simultaneously. All draws of a biased estimator can lie on one side of the estimate, as with
        confident_joint and few labels per class; the other end is then the estimate itself, so the interval always
        contains the estimate.

    Complexity:
        `n_draws` estimates from m rows, and one from all; m x K numbers of memory besides probs.

    When to use:
        To know whether two entries, or two noise rates, differ by more than the sampling error.

    Limitations:
        Sampling error only: the bias of the estimator and the randomness of training the model are not covered. Extreme
        values, as in method="anchor", do not follow the square root law.

    Example:
        >>> probs = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
        >>> found = bootstrap_transition(probs, torch.tensor([0, 0, 1, 1]), n_draws=5)
        >>> found.noise_rate_low, found.noise_rate_high
        (0.0, 0.0)
    """
    estimator = method if callable(method) else find_estimator(method)
    check_fraction("confidence", confidence)
    check_int("n_draws", n_draws, least=2, remedy="use at least 2 draws")
    check_int("max_rows", max_rows, least=1, remedy="use at least 1 row per draw")
    check_generator(generator)
    read = read_rows(probs, labels, class_dim=class_dim, ignore_index=ignore_index, mask=mask)
    rows, given = read.counted_probs
    estimate, _, rate = estimate_with_prior(_checked(estimator(rows, given)), given)
    size, drawn = len(given), min(len(given), int(max_rows))
    samples, stratified = [], 0
    for _ in range(n_draws):
        chosen, within = draw_rows(given, drawn, read.num_classes, generator)
        stratified += within
        found, _, found_rate = estimate_with_prior(estimator(rows[chosen], given[chosen]), given[chosen])
        samples.append(_flat(found, found_rate))
    low, high = percentile_ends(_flat(estimate, rate), torch.stack(samples), confidence, math.sqrt(drawn / size))
    shape = (estimate.num_classes, estimate.num_classes)
    bounds = (low[:-1].view(shape), high[:-1].view(shape))
    return TransitionInterval(estimate, *bounds, rate, float(low[-1]), float(high[-1]), float(confidence), stratified)


def percentile_ends(centre: Tensor, draws: Tensor, confidence: float, scale: float) -> tuple[Tensor, Tensor]:
    """Return the ends of the intervals of (...) estimates from (n_draws, ...) draws, whose deviations are scaled."""
    tails = centre.new_tensor([(1 - confidence) / 2, (1 + confidence) / 2])
    quantiles = draws.quantile(tails, dim=0)
    ends = (centre + scale * (quantiles - centre)).clamp(0, 1)
    return ends[0].minimum(centre), ends[1].maximum(centre)


def _checked(found: object) -> Transition | ConfidentJoint:
    if not isinstance(found, Transition | ConfidentJoint):
        required = "a function that returns a Transition or a ConfidentJoint"
        remedy = "wrap a matrix by noise.Transition.wrap(matrix)"
        raise fail_type("method", required, type(found).__name__, remedy)
    return found


def _flat(transition: Transition, rate: float) -> Tensor:
    entries = transition.to_dense().detach().cpu().flatten()
    return torch.cat([entries, entries.new_tensor([rate])])


def draw_rows(labels: Tensor, count: int, num_classes: int, generator: torch.Generator | None) -> tuple[Tensor, bool]:
    """Draw rows with replacement; return them and whether they were drawn within each class."""
    chosen = torch.randint(len(labels), (count,), generator=generator)
    present = torch.bincount(labels, minlength=num_classes).cpu()
    drawn = torch.bincount(labels[chosen], minlength=num_classes).cpu()
    if bool(((present == 0) | (drawn > 0)).all()):
        return chosen, False
    wanted = (present * count / len(labels)).round().long().clamp(min=1) * (present > 0)
    places = [(labels == name).nonzero().flatten().cpu() for name in range(num_classes)]
    drawn_rows = [
        own[torch.randint(len(own), (int(number),), generator=generator)]
        for own, number in zip(places, wanted, strict=True)
        if number > 0
    ]
    return torch.cat(drawn_rows), True
