"""Losses that are corrected by a known noise transition (Patrini et al. 2017)."""

from dataclasses import replace

import torch
from torch import Tensor

from softtargets._checks import values_visible
from softtargets._errors import fail
from softtargets._native.labels import LabelProbability
from softtargets._numerics import at_least_float32, rows_of, shifted
from softtargets.losses._cross_entropy import cross_entropy
from softtargets.losses._engine.ahead import possible
from softtargets.losses._engine.expectation import dense_weights, expectation, expected_loss, valid_logits
from softtargets.losses._engine.log_odds import LabelLoss, Settings, quick, quick_label_loss, run_examples
from softtargets.losses._engine.observed import log_mean_exp, log_observed, symmetric_noise
from softtargets.losses.inputs import LossInputs, read_examples
from softtargets.losses.reduction import Reduction
from softtargets.matrices import LabelMatrix, Transition
from softtargets.targets import Targets, backward_corrected

__all__ = ["backward_corrected_cross_entropy", "forward_corrected_cross_entropy"]


def forward_corrected_cross_entropy(
    logits: Tensor,
    targets: Targets | Tensor,
    transition: Transition | Tensor,
    *,
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: Tensor | None = None,
    reduction: Reduction = "none",
) -> Tensor:
    """Forward correction: cross entropy of the noisy predictions against observed labels.

    -log (T^T softmax(z))[label]        # Patrini et al. 2017, Eq. 8; Lukasik et al. 2020, Eq. 5, which prints T
    soft targets: -sum_k t_k log (T^T softmax(z))_k, cross entropy of the noisy predictions

    For labels it is computed in log space from the one column of T that the label needs. Symmetric noise has a closed
    form, -log((1 - redraw) p_label + redraw / K), bounded by -log(redraw / K). The gradient is p minus the posterior of
    the clean label.

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        targets: (...) *observed* integer labels, float probabilities of the shape of the logits, or Targets.
        transition: clean -> observed, Transition or (K, K) float with rows that sum to 1.
        class_dim: the dimension of the classes.
        ignore_index: label of an example to leave out.
        mask: (...) bool, False for an example to leave out.
        reduction: "none", "mean" or "sum"; the mean is over the examples that are not left out.

    Returns:
        (...) float32 or wider, nats; () unless reduction is "none". Examples that are left out have loss 0. The loss is
        infinite, with the gradient of cross_entropy, if only classes of logit -inf can produce the label.

    Raises:
        ValueError: if shapes differ, a label is out of range, or the rows of T do not sum to 1.
        TypeError: if logits are not floating-point, or labels not integers.

    Special cases:
        no noise gives cross_entropy; redraw = 1, where the label carries no information, gives log K.

    Notes:
        T as in Patrini et al.: row = clean, column = observed. cleanlab and some ports store the transpose. Lukasik et
        al.'s alpha is `redraw`; a fraction (K - 1) / K of the redrawn labels changes.

    Complexity:
        Labels: O(N K) with one column of T per example, gradient included; no softmax is multiplied by T. Soft targets:
        O(N K^2), a product with T.

    When to use:
        Labels are wrong at a rate that is known or can be estimated; the minimiser is the clean posterior.

    Limitations:
        The result is only as good as T. A network that can memorise every wrong label still does, only later.

    Aliases:
        FC; loss correction

    Topics:
        known label noise

    References:
        Patrini et al. 2017, *Making Deep Neural Networks Robust to Label Noise: a Loss Correction Approach*, CVPR

    Example:
        >>> loss = forward_corrected_cross_entropy(torch.zeros(1, 2), torch.tensor([0]), torch.eye(2))
        >>> loss.exp().round(decimals=4).tolist()
        [2.0]
    """
    transition = Transition.wrap(transition)
    keywords = {"class_dim": class_dim, "ignore_index": ignore_index, "mask": mask}
    result = _quick(logits, targets, transition, **keywords, reduction=reduction)
    if result is not None:
        return result
    examples = read_examples(logits, targets, **keywords)
    _check_classes(transition, examples.logits.shape[-1])
    if transition.closed:
        return examples.finish(expected_loss(examples, symmetric_noise(transition), transition.redraw), reduction)
    matrix = _matrix(transition, examples.logits)
    if examples.labels is not None:
        return examples.finish(run_examples(examples, _of_labels(examples.labels, matrix)), reduction)
    logits = valid_logits(examples)
    each = -log_observed(logits, matrix)
    return examples.finish(expectation(examples.targets, each, logits != -torch.inf), reduction)


def _quick(
    logits: Tensor,
    labels: object,
    transition: Transition,
    *,
    class_dim: int,
    ignore_index: int,
    mask: Tensor | None,
    reduction: Reduction,
) -> Tensor | None:
    """Return the loss of labels if the kernel can compute it without other steps, else None."""
    keywords = {"class_dim": class_dim, "ignore_index": ignore_index, "mask": mask, "reduction": reduction}

    def settings(shape: torch.Size) -> Settings:
        _check_classes(transition, logits.shape[class_dim])
        return (transition.redraw,)

    if transition.closed:
        return quick_label_loss(symmetric_noise(transition), logits, labels, settings, **keywords)

    def make(labels: Tensor) -> LabelLoss | None:
        _check_classes(transition, logits.shape[class_dim])
        matrix = _matrix(transition, logits)
        return _of_labels(labels, matrix, ignore_index) if possible(logits, matrix) else None

    return quick(make, logits, labels, **keywords)


def _matrix(transition: Transition, logits: Tensor) -> Tensor:
    return transition.to_dense().to(logits.device) if transition.matrix is None else transition.matrix


def _of_labels(labels: Tensor, matrix: Tensor, ignore_index: int | None = None) -> LabelLoss:
    """Return -log of <column of T, p>."""

    def plain(logits: Tensor, labels: Tensor) -> Tensor:
        z = shifted(at_least_float32(logits))
        columns = rows_of(matrix.T.to(z), labels)
        return z.logsumexp(-1) - log_mean_exp(columns, z)

    return LabelLoss(LabelProbability(labels, None, columns=matrix.T, ignore_index=ignore_index), plain)


def backward_corrected_cross_entropy(
    logits: Tensor,
    targets: Targets | Tensor,
    transition: Transition | Tensor,
    *,
    class_dim: int = -1,
    ignore_index: int = -100,
    mask: Tensor | None = None,
    reduction: Reduction = "none",
) -> Tensor:
    """Backward correction: an unbiased estimate, from observed labels, of the cross entropy on clean labels.

    (T^-1 losses)[label]        # Patrini et al. 2017, Thm. 1; Lukasik et al. 2020, Eq. 4
    soft targets: cross entropy against t T^-1

    A class of logit -inf is excluded: its weight in t T^-1 is dropped, so that the estimate stays unbiased for the
    other clean classes. If t itself has weight on it, the loss is infinite, as for cross_entropy. If no class is
    masked, this is ``cross_entropy(logits, targets.backward_corrected(labels, transition))``.

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        targets: (...) *observed* integer labels, float probabilities of the shape of the logits, or Targets.
        transition: clean -> observed, Transition or (K, K) float with rows that sum to 1.
        class_dim: the dimension of the classes.
        ignore_index: label of an example to leave out.
        mask: (...) bool, False for an example to leave out.
        reduction: "none", "mean" or "sum"; the mean is over the examples that are not left out.

    Returns:
        (...) float32 or wider, nats, unbounded below; () unless reduction is "none". Examples that are left out have
        loss 0.

    Raises:
        ValueError: if shapes differ, a label is out of range, or T is singular or ill-conditioned.
        TypeError: if logits are not floating-point, or labels not integers.

    Special cases:
        no noise gives cross_entropy; symmetric noise gives smoothing of -redraw / (1 - redraw).

    Notes:
        T is defined as in :func:`forward_corrected_cross_entropy`. Symmetric noise is inverted in closed form, any
        other T by solving a linear system.

    Complexity:
        Labels: O(N K) for any T; symmetric noise adds O(N) to cross_entropy. Soft targets: O(N K^2). A Transition keeps
        its inverse, O(K^3), for later calls.

    When to use:
        An unbiased estimate of the clean loss is wanted, as in theory or with a loss other than cross entropy.

    Limitations:
        Unbounded below: a network of large capacity exploits the negative weights on wrong labels. T must be well
        conditioned.

    Example:
        >>> transition = torch.tensor([[0.75, 0.25], [0.25, 0.75]])        # its inverse: 1.5 and -0.5
        >>> loss = backward_corrected_cross_entropy(torch.tensor([[2.0, 0.0]]), torch.tensor([0]), transition)
        >>> plain = cross_entropy(torch.tensor([[2.0, 0.0]]), torch.tensor([0]))
        >>> round(float(loss - plain), 4)        # -0.5 * (z_label - z_other)
        -1.0
    """
    transition = Transition.wrap(transition)
    examples = read_examples(logits, targets, class_dim=class_dim, ignore_index=ignore_index, mask=mask)
    _check_classes(transition, examples.logits.shape[-1])
    logits = valid_logits(examples)
    if examples.labels is not None and not _may_be_masked(logits):
        made = backward_corrected(examples.labels, transition)
    elif examples.labels is not None and transition.closed:
        made = _over_unmasked(backward_corrected(examples.labels, transition), logits)
    else:
        made = Targets(values=_dense_corrected(examples, logits, transition.inverse()))
    return examples.finish(cross_entropy(logits, replace(made, ignored=examples.left_out)), reduction)


def _over_unmasked(targets: Targets, logits: Tensor) -> Targets:
    """Drop what the targets spread over masked classes; a masked label keeps weight 1, so that its loss is infinite."""
    index, value = targets.factors()
    assert targets.rest is not None
    masked = logits == -torch.inf
    value = torch.where(masked.gather(-1, index), 1.0, value)
    return replace(targets, value=value, rest=targets.rest * (1 - masked.double().mean(-1)))


def _dense_corrected(examples: LossInputs, logits: Tensor, inverse: LabelMatrix) -> Tensor:
    """Return t T^-1, (..., K), with t itself for the classes that are masked."""
    weights = dense_weights(examples, logits)
    if inverse.table is None:
        made = inverse.keep * weights + inverse.rest / inverse.num_classes * weights.sum(-1, keepdim=True)
    elif examples.labels is not None:
        made = rows_of(inverse.table.to(logits.device), examples.labels)
    else:  # in the precision of the inverse, whose entries cancel
        made = weights.to(inverse.table.dtype) @ inverse.table.to(logits.device)
    return torch.where(logits == -torch.inf, weights.to(made.dtype), made)


def _may_be_masked(logits: Tensor) -> bool:
    """Return whether some logit is -inf; also True if checking it would make the host wait."""
    if logits.device.type != "cpu" or not values_visible(logits):
        return True
    return logits.numel() > 0 and bool(logits.amin() == -torch.inf)


def _check_classes(transition: Transition, size: int) -> None:
    if transition.num_classes != size:
        required = f"{size} classes, as the logits"
        raise fail("transition", required, transition.num_classes, "pass the transition of these classes")
