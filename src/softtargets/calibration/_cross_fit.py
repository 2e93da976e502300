"""Calibrated predictions of every example, by calibrators that have not seen it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from softtargets._checks import check_count
from softtargets._errors import fail
from softtargets.calibration._inputs import examples

__all__ = ["CrossFit", "cross_fit"]

Fitted = TypeVar("Fitted", bound=nn.Module)


@dataclass(frozen=True)
class CrossFit(Generic[Fitted]):
    """What cross-fitting gives.

    The temperatures of the folds, say, are ``[float(c.temperature) for c in crossed.calibrators]``: how far they lie
    apart tells how well T is known.

    Args:
        log_probs: (N, K) float32 or wider, row i by the calibrator of its fold; they serve as logits of every metric.
        fold: (N,) int64 in [0, folds).
        calibrators: one for each fold, fitted on all other folds.
    """

    log_probs: Tensor
    fold: Tensor
    calibrators: tuple[Fitted, ...]


def cross_fit(
    fit: Callable[[Tensor, Tensor], Fitted],
    logits: Tensor,
    labels: Tensor,
    *,
    folds: int = 5,
    generator: torch.Generator | None = None,
) -> CrossFit[Fitted]:
    """Calibrate every example without having fitted on it, so that metrics after calibration are honest.

    Each fold is calibrated by the calibrator fitted on the others. Folds are random and stratified: they differ by one
    example at most, in all and in each class.

    Args:
        fit: (logits, labels) -> calibrator, as ``TemperatureScaling.fit``; arguments of its own by
            ``functools.partial``.
        logits: (N, K) float, of examples that the model was not trained on.
        labels: (N,) int64 in [0, K).
        folds: how many, from 2 to N.
        generator: of the folds; None: torch's global one.

    Returns:
        CrossFit.

    Raises:
        ValueError: where shapes differ, a label is out of range, a row holds NaN or +inf or has no finite logit (first
            bad row named), or folds are not from 2 to N.
        TypeError: where logits are not floating-point or labels not integers.

    Example:
        >>> from softtargets.calibration import TemperatureScaling
        >>> logits = torch.tensor([[0.0, 4.0], [0.0, 4.0], [4.0, 0.0], [4.0, 0.0]]).repeat(4, 1)
        >>> labels = torch.tensor([1, 0, 0, 0]).repeat(4)
        >>> generator = torch.Generator().manual_seed(0)
        >>> crossed = cross_fit(TemperatureScaling.fit, logits, labels, folds=4, generator=generator)
        >>> crossed.fold.bincount().tolist(), crossed.log_probs.shape
        ([4, 4, 4, 4], torch.Size([16, 2]))
    """
    rows = examples(logits, labels)
    if logits.ndim != 2:
        raise fail("logits", "shape (N, K) with K >= 2", tuple(logits.shape), "give one row of K per example")
    check_count("folds", folds, least=2, most=len(rows), remedy="5 and 10 are usual")
    fold = _stratified(rows.labels, folds, generator)
    calibrators = tuple(fit(rows.logits[fold != k], rows.labels[fold != k]) for k in range(folds))
    with torch.no_grad():
        parts = [calibrator(rows.logits[fold == k]) for k, calibrator in enumerate(calibrators)]
    log_probs = torch.empty_like(rows.logits, dtype=parts[0].dtype)
    for k, part in enumerate(parts):
        log_probs[fold == k] = part
    return CrossFit(log_probs, fold, calibrators)


def _stratified(labels: Tensor, folds: int, generator: torch.Generator | None) -> Tensor:
    """Deal the examples out, class after class, each class shuffled: (N,) int64 folds."""
    device = generator.device if generator is not None else None
    shuffled = torch.randperm(len(labels), generator=generator, device=device).to(labels.device)
    order = shuffled[labels[shuffled].argsort(stable=True)]
    return torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device) % folds)
