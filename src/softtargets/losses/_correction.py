"""Losses that know how labels went wrong (Patrini et al. 2017)."""

import math

import torch
from torch import Tensor

from softtargets._checks import check_floating, check_labels
from softtargets._errors import fail
from softtargets._numerics import as_like, at_least_float32, log_of, rows_of, shifted
from softtargets.losses._cross_entropy import cross_entropy
from softtargets.matrices import Transition
from softtargets.targets import backward


def forward_corrected_cross_entropy(
    logits: Tensor, labels: Tensor, transition: Transition | Tensor, *, class_dim: int = -1
) -> Tensor:
    """Cross entropy of the noisy probabilities against observed labels (forward correction).

    -log (T^T softmax(z))[label]        # Patrini et al. 2017, Eq. 8; Lukasik et al. 2020, Eq. 5, which prints T

    Computed in log space from the one column of T that the label needs. Symmetric noise has a closed form,
    -log((1 - redraw) p_label + redraw / K), bounded by -log(redraw / K). The gradient is p minus the posterior of the
    clean label.

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        labels: (...) int64 *observed* labels.
        transition: clean -> observed, Transition or (K, K) float with rows that sum to 1.
        class_dim: where the classes are.

    Returns:
        (...) float32 or wider, nats.

    Raises:
        ValueError: where shapes differ, a label is out of range, or the rows of T do not sum to 1.

    Limits:
        no noise gives cross_entropy.

    Example:
        >>> loss = forward_corrected_cross_entropy(torch.zeros(1, 2), torch.tensor([0]), torch.eye(2))
        >>> loss.exp().round(decimals=4).tolist()
        [2.0]
    """
    transition = Transition.wrap(transition)
    check_floating("logits", logits)
    check_labels("labels", labels)
    logits, labels = logits.movedim(class_dim, -1), labels.long()
    _check_classes(transition, logits)
    log_prob = -cross_entropy(logits, labels)
    if transition.matrix is None and not isinstance(transition.redraw, Tensor) and transition.redraw <= 1:
        keep = as_like(log_of(1 - transition.redraw), log_prob)
        spread = as_like(log_of(transition.redraw), log_prob) - math.log(transition.num_classes)
        return -torch.logaddexp(keep + log_prob, spread)
    z = shifted(at_least_float32(logits))
    lse = z.logsumexp(-1)
    if transition.matrix is None:
        return _redrawn(log_prob, z.scatter(-1, labels[..., None], -torch.inf).logsumexp(-1) - lse, transition)
    columns = rows_of(transition.matrix.to(z).T, labels)
    return lse - torch.logsumexp(z + columns.log(), -1)


def _redrawn(log_prob: Tensor, log_rest: Tensor, transition: Transition) -> Tensor:
    """Symmetric noise of any strength, from log p_label and log (1 - p_label).

    Beyond redraw = 1 the label is evidence against its own class: (1 - redraw) p_label + redraw / K would cancel.
    """
    redraw, size = as_like(transition.redraw, log_prob), transition.num_classes
    stays = (1 - redraw + redraw / size).clamp(min=0.0)
    return -torch.logaddexp(stays.log() + log_prob, (redraw / size).log() + log_rest)


def backward_corrected_cross_entropy(
    logits: Tensor, labels: Tensor, transition: Transition | Tensor, *, class_dim: int = -1
) -> Tensor:
    """Cross entropy whose expectation over observed labels is the one over clean labels (backward correction).

    (T^-1 losses)[label]        # Patrini et al. 2017, Thm. 1; Lukasik et al. 2020, Eq. 4

    The same as ``cross_entropy(logits, targets.backward(labels, transition))``.

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        labels: (...) int64 *observed* labels.
        transition: clean -> observed, Transition or (K, K) float with rows that sum to 1.
        class_dim: where the classes are.

    Returns:
        (...) float32 or wider, nats; unbounded below.

    Raises:
        ValueError: where shapes differ, a label is out of range, or T is singular or ill-conditioned.

    Limits:
        no noise gives cross_entropy; symmetric noise gives smoothing of -redraw / (1 - redraw).
    """
    transition = Transition.wrap(transition)
    check_floating("logits", logits)
    _check_classes(transition, logits.movedim(class_dim, -1))
    return cross_entropy(logits, backward(labels, transition), class_dim=class_dim)


def _check_classes(transition: Transition, logits: Tensor) -> None:
    if transition.num_classes != logits.shape[-1]:
        raise fail("transition", f"{logits.shape[-1]} classes, as the logits", transition.num_classes, "align them")
