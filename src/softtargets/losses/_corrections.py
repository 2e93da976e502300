"""Losses that know how labels went wrong (Patrini et al. 2017)."""

import torch
from torch import Tensor
from torch.nn import functional

from softtargets._errors import fail
from softtargets._numerics import as_like, at_least_float32, rows_of, shifted, times
from softtargets.losses._cross_entropy import cross_entropy
from softtargets.losses._engine.chunked import possible, run
from softtargets.losses._engine.fused import deliver, shift, workspace
from softtargets.losses._engine.kernel import Index
from softtargets.losses._engine.log_odds import label_log_odds
from softtargets.losses.inputs import classes_last, paired
from softtargets.matrices import Transition
from softtargets.targets import backward_corrected

__all__ = ["backward_corrected_cross_entropy", "forward_corrected_cross_entropy"]


def forward_corrected_cross_entropy(
    logits: Tensor, labels: Tensor, transition: Transition | Tensor, *, class_dim: int = -1
) -> Tensor:
    """Forward correction: cross entropy of the noisy probabilities against observed labels.

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
        (...) float32 or wider, nats; infinite, with the gradient of cross_entropy, where masked classes alone explain
        the label.

    Raises:
        ValueError: where shapes differ, a label is out of range, or the rows of T do not sum to 1.

    Special cases:
        no noise gives cross_entropy; redraw = 1, where the label says nothing, gives log K.

    Notes:
        T as Patrini et al.: row = clean, column = observed; cleanlab and some ports hold the transpose. Lukasik et
        al.'s alpha is `redraw`, of which (K - 1) / K are flipped.

    Complexity:
        O(N K) with one column of T per example, gradient included; no softmax is multiplied by T.

    When to use:
        labels are wrong at a rate that is known or can be estimated; the minimiser is the clean posterior.

    Limitations:
        no better than its T; a network that can learn every wrong label by heart still does, only later.

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
    _check_classes(transition, classes_last(logits, class_dim))
    moved, labels = paired(logits, labels, class_dim)
    if transition.closed:
        return _symmetric(logits, labels, transition, class_dim)
    matrix = transition.to_dense().to(logits.device) if transition.matrix is None else transition.matrix
    kernel = _Forward(labels, matrix)
    if possible(logits, labels, matrix):
        return run(kernel, logits, class_dim=class_dim)
    return kernel.plain(moved)


class _Forward:
    """-log of <column of T, p>."""

    def __init__(self, labels: Tensor, matrix: Tensor) -> None:
        self.labels = labels
        self.columns = matrix.T

    def chunk(self, logits: Tensor, index: Index, scale: Tensor | None, gradient: Tensor | None) -> Tensor:
        work = workspace(logits, gradient)
        columns = rows_of(self.columns.to(work.dtype), self.labels[index])
        shift(logits, work)
        total = work.exp_().sum(-1)
        joint = columns.mul_(work)
        observed = joint.sum(-1)
        losses = total.log() - observed.log()
        # Where the classes that explain the label have all but vanished, their exponentials have lost their bits.
        faint = observed < 1e-20
        if faint.device.type != "cpu" or bool(faint.any()):
            columns = rows_of(self.columns.to(work.dtype), self.labels[index])
            log_joint = logits.to(work.dtype).log_softmax(-1) + columns.log()
            losses = torch.where(faint, -log_joint.logsumexp(-1), losses)
            none = (log_joint == -torch.inf).all(-1, keepdim=True)
            posterior = torch.where(none, _shares(columns), log_joint.softmax(-1))
            joint = torch.where(faint[..., None], posterior, joint)
            observed = observed.masked_fill(faint, 1.0)
        if gradient is not None and scale is not None:
            work.mul_((scale / total)[..., None]).sub_(joint.mul_((scale / observed)[..., None]))
            deliver(work, gradient)
        return losses

    def tensors(self) -> tuple[Tensor, ...]:
        return (self.labels, self.columns)

    def plain(self, logits: Tensor) -> Tensor:
        z = shifted(at_least_float32(logits))
        columns = rows_of(self.columns.to(z), self.labels)
        return z.logsumexp(-1) - _log_mean_exp(columns, z)


def _log_mean_exp(weights: Tensor, z: Tensor) -> Tensor:
    """Return log <weights, exp(z)>, whose gradient with respect to a weight of 0 exists as well.

    Where all that has weight is masked it is -inf, with the weights' shares for the gradient and none for a weight.
    """
    largest = (z + weights.log()).detach().amax(-1, keepdim=True)
    largest = largest.masked_fill(~largest.isfinite(), 0.0)
    # the bound holds for every weight above 1e-34, and keeps a larger logit of weight 0 from overflowing
    total = (weights * (z - largest).clamp(max=80).exp()).sum(-1)
    none = total == 0
    masked = times(_shares(weights.detach()), z).sum(-1) - torch.inf
    return torch.where(none, masked, total.masked_fill(none, 1.0).log() + largest[..., 0])


def _shares(weights: Tensor) -> Tensor:
    """Return weights over their sum; 0 where all of them are 0."""
    return functional.normalize(weights, p=1.0, dim=-1)


def _symmetric(logits: Tensor, labels: Tensor, transition: Transition, class_dim: int) -> Tensor:
    """-log of what is kept of p_label and what comes from the others; redraw may be beyond 1."""
    odds = label_log_odds(logits, labels, class_dim=class_dim)
    log_probs = torch.stack([functional.logsigmoid(odds), functional.logsigmoid(-odds)], -1)
    share = as_like(transition.redraw, odds)
    from_others = share / transition.num_classes
    return -_log_mean_exp(torch.stack([(1 - share + from_others).clamp(min=0.0), from_others], -1), log_probs)


def backward_corrected_cross_entropy(
    logits: Tensor, labels: Tensor, transition: Transition | Tensor, *, class_dim: int = -1
) -> Tensor:
    """Backward correction: an unbiased estimate, from observed labels, of the cross entropy on clean labels.

    (T^-1 losses)[label]        # Patrini et al. 2017, Thm. 1; Lukasik et al. 2020, Eq. 4

    The same as ``cross_entropy(logits, targets.backward_corrected(labels, transition))``.

    Args:
        logits: (..., K) float, or with the classes at `class_dim`.
        labels: (...) int64 *observed* labels.
        transition: clean -> observed, Transition or (K, K) float with rows that sum to 1.
        class_dim: where the classes are.

    Returns:
        (...) float32 or wider, nats; unbounded below.

    Raises:
        ValueError: where shapes differ, a label is out of range, or T is singular or ill-conditioned.

    Special cases:
        no noise gives cross_entropy; symmetric noise gives smoothing of -redraw / (1 - redraw).

    Notes:
        T as in :func:`forward_corrected_cross_entropy`; symmetric noise in closed form, any other T solved for.

    Complexity:
        O(N K) for any T, symmetric ones O(N) more than plain cross entropy; a Transition keeps its inverse.

    When to use:
        an unbiased estimate of the clean loss is wanted, as in theory or with a loss other than cross entropy.

    Limitations:
        unbounded below: with its negative weights a network of much capacity drives it down on wrong labels; T must be
        well conditioned.

    Example:
        >>> transition = torch.tensor([[0.75, 0.25], [0.25, 0.75]])        # its inverse: 1.5 and -0.5
        >>> loss = backward_corrected_cross_entropy(torch.tensor([[2.0, 0.0]]), torch.tensor([0]), transition)
        >>> plain = cross_entropy(torch.tensor([[2.0, 0.0]]), torch.tensor([0]))
        >>> round(float(loss - plain), 4)        # -0.5 * (z_label - z_other)
        -1.0
    """
    transition = Transition.wrap(transition)
    _check_classes(transition, classes_last(logits, class_dim))
    return cross_entropy(logits, backward_corrected(labels, transition), class_dim=class_dim)


def _check_classes(transition: Transition, logits: Tensor) -> None:
    if transition.num_classes != logits.shape[-1]:
        raise fail("transition", f"{logits.shape[-1]} classes, as the logits", transition.num_classes, "align them")
