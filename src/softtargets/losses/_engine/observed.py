"""Log-probabilities of observed classes from the logits of clean ones, for forward correction."""

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from softtargets._checks import values_visible
from softtargets._native.labels import OddsLoss
from softtargets._numerics import at_least_float32, shifted, times
from softtargets.matrices import Transition


def log_observed(logits: Tensor, matrix: Tensor) -> Tensor:
    """Return log (T^T softmax(z)), the log-probabilities of all observed classes."""
    z = shifted(at_least_float32(logits))
    matrix, log_total = matrix.to(z), z.logsumexp(-1, keepdim=True)
    if not values_visible(z, matrix):
        return log_mean_exp(matrix.T, z[..., None, :]) - log_total
    observed = z.exp() @ matrix
    # Where the classes that lead to an observed class have almost vanished, their exponentials have lost precision.
    faint = observed < 1e-20
    logs = observed.masked_fill(faint, 1.0).log()
    rows = faint.any(-1)
    if bool(rows.any()):
        logs = logs.index_put((rows,), log_mean_exp(matrix.T, z[rows][..., None, :]))
    return logs - log_total


def log_mean_exp(weights: Tensor, z: Tensor) -> Tensor:
    """Return log <weights, exp(z)>, whose gradient with respect to a weight of 0 exists as well.

    If every class with weight is masked, the result is -inf. The gradient for z is then the normalised weights, and
    weights get none.
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


def _symmetric(odds: Tensor, redraw: Tensor, *, num_classes: int) -> Tensor:
    """-log of the kept part of p_label plus the part redrawn from other classes; redraw may exceed 1."""
    log_probs = torch.stack([functional.logsigmoid(odds), functional.logsigmoid(-odds)], -1)
    from_others = redraw / num_classes
    weights = torch.stack([(1 - redraw + from_others).clamp(min=0.0), from_others], -1)
    return -log_mean_exp(weights, log_probs)


def symmetric_noise(transition: Transition) -> OddsLoss:
    """Return -log of the probability of an observed label under symmetric noise, as a function of the log-odds."""
    size = transition.num_classes

    def numbers(redraw: float) -> tuple[float, float]:
        return max(0.0, 1 - redraw + redraw / size), redraw / size

    return OddsLoss("symmetric", partial(_symmetric, num_classes=size), numbers)
