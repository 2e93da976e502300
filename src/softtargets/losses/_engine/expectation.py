"""Losses that are a function of the probability of the label, for labels and for soft targets.

Such a loss is ``phi(odds)``, with the log-odds of the label. Its value for a target `t` is the expectation
``sum_k t_k * phi(odds_k)``, which is what mixing two labels with the weights of mixup gives.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from softtargets._native.labels import OddsLoss
from softtargets._numerics import as_like, at_least_float32, times
from softtargets.losses._engine.log_odds import Settings, label_loss, quick_label_loss
from softtargets.losses.inputs import LossInputs, read_examples
from softtargets.losses.reduction import Reduction
from softtargets.targets import Targets


def odds_loss(
    loss: OddsLoss,
    logits: Tensor,
    targets: Targets | Tensor,
    settings: Callable[[torch.Size], Settings],
    *,
    class_dim: int,
    ignore_index: int,
    mask: Tensor | None,
    reduction: Reduction,
) -> Tensor:
    """Check the arguments of a loss that is a function of the log-odds, and return it.

    Args:
        loss: the function of the log-odds.
        logits: (..., K) float, or with the classes at `class_dim`.
        targets: (...) integer labels, float probabilities of the shape of the logits, or Targets.
        settings: checks the settings for examples of a shape and returns them.
        class_dim: the dimension of the classes.
        ignore_index: label of an example to leave out.
        mask: (...) bool, False for an example to leave out.
        reduction: "none", "mean" or "sum".
    """
    result = quick_label_loss(
        loss,
        logits,
        targets,
        settings,
        class_dim=class_dim,
        ignore_index=ignore_index,
        mask=mask,
        reduction=reduction,
    )
    if result is not None:
        return result
    examples = read_examples(logits, targets, class_dim=class_dim, ignore_index=ignore_index, mask=mask)
    values = expected_loss(examples, loss, *settings(examples.logits.shape[:-1]))
    return examples.finish(values, reduction)


def expected_loss(examples: LossInputs, loss: OddsLoss, *settings: float | Tensor) -> Tensor:
    """Return ``phi(odds_label, *settings)``, or ``sum_k t_k * phi(odds_k, *settings)`` for soft targets.

    Args:
        examples: the batch.
        loss: phi, an elementwise function of the log-odds and of the settings.
        settings: numbers, or (...) tensors with one number per example; phi gets tensors that broadcast.

    Returns:
        (...) float32 or wider; not yet 0 for examples that are left out: see :meth:`LossInputs.finish`.
    """
    if examples.labels is not None:
        return label_loss(examples, loss, *settings)
    logits = valid_logits(examples)
    odds = log_odds(logits)
    wide = [as_like(value, odds) for value in settings]
    values = loss.formula(odds, *(value[..., None] if value.ndim else value for value in wide))
    return expectation(examples.targets, values, logits != -torch.inf)


def valid_logits(examples: LossInputs) -> Tensor:
    """Return the logits, -inf for the classes that are not valid in the targets."""
    valid = None if examples.soft is None else examples.soft.valid
    return examples.logits if valid is None else examples.logits.masked_fill(~valid, -torch.inf)


def dense_weights(examples: LossInputs, logits: Tensor) -> Tensor:
    """Return the targets as (..., K) weights; smoothing is spread over the classes whose logit is not -inf."""
    targets = examples.targets
    if targets.rest is not None:
        targets = replace(targets, valid=logits != -torch.inf)
    return targets.to_dense(logits.shape[-1]).to(at_least_float32(logits).dtype)


def log_odds(logits: Tensor) -> Tensor:
    """Return ``z_k - logsumexp(z of the others)`` of every class, (..., K) float32 or wider.

    Finite above; -inf for a class whose own logit is. No digits are lost close to a probability of 0 or 1.
    """
    z = at_least_float32(logits)
    log_probs = z.log_softmax(-1)
    # at most one class is above a half; the others have 1 - p without cancellation
    top = z.argmax(-1, keepdim=True)
    others = z.scatter(-1, top, -torch.inf)
    alone = (others == -torch.inf).all(-1, keepdim=True)
    rest = others.masked_fill(alone, 0.0).logsumexp(-1, keepdim=True)
    of_top = (z.gather(-1, top) - rest).masked_fill(alone, torch.inf).clamp(max=torch.finfo(z.dtype).max)
    small = log_probs.scatter(-1, top, -torch.inf)
    odds = small - torch.log1p(-small.exp())
    return odds.scatter(-1, top, of_top)


def expectation(targets: Targets, values: Tensor, there: Tensor) -> Tensor:
    """Return ``sum_k t_k * values_k``, (...); a class of weight 0 adds nothing, even if its value is infinite.

    Args:
        targets: of (...) examples.
        values: (..., K) float.
        there: (..., K) bool, classes that can be; smoothing is spread over them alone.
    """
    if targets.index is None:
        return times(targets.gathered().to(values.dtype), values).sum(-1)
    index, weight = targets.factors()
    total = times(weight.to(values.dtype), values.gather(-1, index)).sum(-1)
    if targets.rest is None:
        return total
    prior = targets.prior_over(values.shape[-1], values.dtype, values.device) * there
    mean = times(prior / prior.sum(-1, keepdim=True), values).sum(-1)
    return total + times(targets.rest.to(values.dtype), mean)
