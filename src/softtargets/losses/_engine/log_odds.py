"""Losses of the probability of the label: the compiled kernel, the fast path to it, and torch operations.

With ``odds = z_label - logsumexp(z of the others)``, p_label is sigmoid(odds) and 1 - p_label is sigmoid(-odds). Both
keep their digits close to 0 and 1, where the difference 1 - p would lose them.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from softtargets._native.labels import ODDS, LabelProbability, OddsLoss
from softtargets._native.probability import probability_losses, probability_total
from softtargets._numerics import accumulating, as_like, at_least_float32
from softtargets.losses._engine import ahead
from softtargets.losses._engine.label_path import Unsupported, each_or_total, simple
from softtargets.losses.inputs import LossInputs
from softtargets.losses.reduction import REDUCTIONS, Reduction, upstream

Settings = tuple[float | Tensor, ...]


def label_log_odds(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the (...) log-odds of the label, bounded above, and -inf where the label's logit is -inf.

    Args:
        logits: (..., K) float, checked.
        labels: (...) int64, checked.
    """
    loss = LabelLoss(LabelProbability(labels, ODDS), plain_log_odds)
    return ahead.run(loss, logits, ahead=False) if ahead.possible(logits, labels) else loss.plain(logits)


def label_loss(examples: LossInputs, loss: OddsLoss, *settings: float | Tensor) -> Tensor:
    """Return ``loss.formula(odds, *settings)`` of examples with labels, (...) float32 or wider.

    Args:
        examples: the batch.
        loss: the function of the log-odds.
        settings: numbers, or (...) tensors with one number per example.

    Returns:
        (...), not yet 0 for examples that are left out: see :meth:`LossInputs.finish`.
    """
    assert examples.labels is not None
    numbers = _numbers(settings)
    if numbers is None:
        odds = label_log_odds(examples.logits, examples.labels)
        return loss.formula(odds, *(as_like(setting, odds) for setting in settings))
    return run_examples(examples, _of_odds(examples.labels, loss, numbers, None))


def quick_label_loss(
    loss: OddsLoss,
    logits: Tensor,
    labels: object,
    settings: Callable[[torch.Size], Settings],
    *,
    class_dim: int,
    ignore_index: int,
    mask: Tensor | None,
    reduction: Reduction,
) -> Tensor | None:
    """Return a loss of labels, reduced, if the kernel can compute it without other steps, else None.

    Args:
        loss: the function of the log-odds.
        logits: (..., K) float, or with the classes at `class_dim`.
        labels: (...) int64.
        settings: checks the settings for examples of a shape and returns them; called only for valid shapes.
        class_dim: the dimension of the classes.
        ignore_index: label of an example to leave out.
        mask: (...) bool or None.
        reduction: "none", "mean" or "sum".
    """

    def make(labels: Tensor) -> "LabelLoss | None":
        numbers = _numbers(settings(labels.shape))
        return None if numbers is None else _of_odds(labels, loss, numbers, ignore_index)

    keywords = {"class_dim": class_dim, "ignore_index": ignore_index, "mask": mask, "reduction": reduction}
    return quick(make, logits, labels, **keywords)


def quick(
    make: Callable[[Tensor], "LabelLoss | None"],
    logits: Tensor,
    labels: object,
    *,
    class_dim: int,
    ignore_index: int,
    mask: Tensor | None,
    reduction: Reduction,
) -> Tensor | None:
    """Return the loss that `make` returns for labels, reduced, or None if it cannot be computed without other steps.

    The kernel checks the labels. If one is out of range, None is returned as well: the caller then uses the general
    implementation, which raises the error.
    """
    if mask is not None or reduction not in REDUCTIONS or not simple(logits, labels, class_dim, ignore_index):
        return None
    assert isinstance(labels, Tensor)
    loss = make(labels)
    if loss is None:
        return None
    if reduction == "none" and loss.rows.loss is not None:
        if ignore_index >= 0:  # the kernel rejects negative labels as out of range
            return None
        try:
            return ahead.run(loss, logits, class_dim=class_dim, ahead=False)
        except Unsupported:
            return None
    loss.mean = reduction == "mean"
    return each_or_total(loss, logits, class_dim, ignore_index, reduction)


def run_examples(examples: LossInputs, loss: "LabelLoss") -> Tensor:
    """Return a loss of examples with checked labels, (...)."""
    logits = examples.logits
    if not ahead.possible(logits, *loss.tensors()):
        return loss.plain(logits)
    if loss.rows.loss is not None:
        return ahead.run(loss, logits, ahead=False)
    expected = None
    if examples.left_out is not None:  # the gradient that a mean over the examples that are not left out will pass
        like = torch.empty((), dtype=accumulating(logits.dtype), device=logits.device).expand(logits.shape[:-1])
        expected = upstream(like, "mean", weight=~examples.left_out)
    return ahead.run(loss, logits, expected=expected)


class LabelLoss:
    """A loss of the probability of the label, for :mod:`softtargets.losses._engine.ahead`.

    Args:
        rows: the labels and the loss, as the kernel takes them.
        formula: returns the losses of logits and labels that are all counted, with differentiable torch operations.
    """

    def __init__(self, rows: LabelProbability, formula: Callable[[Tensor, Tensor], Tensor]) -> None:
        self.rows, self.formula, self.labels, self.mean = rows, formula, rows.labels, False

    def run(self, z: Tensor, scale: Tensor | float | None, gradient: Tensor | None) -> Tensor:
        losses = probability_losses(z, self.rows, scale, gradient)
        if losses is None:
            raise Unsupported
        return losses

    def total_of(self, z: Tensor, scale: float, gradient: Tensor | None) -> Tensor | None:
        return probability_total(z, self.rows, self.mean, scale, gradient)

    def general(self, z: Tensor) -> "LabelLoss":
        return self

    def total(self, z: Tensor, reduction: str, scale: Tensor | float | None, gradient: Tensor | None) -> Tensor:
        result = probability_total(z, self.rows, reduction == "mean", scale, gradient)
        if result is None:
            raise Unsupported
        return result

    def plain(self, logits: Tensor) -> Tensor:
        left_out, labels = self._left_out(), self.rows.labels
        if left_out is None:
            return self.formula(logits, labels)
        logits = logits.masked_fill(left_out[..., None], 0.0)
        return self.formula(logits, labels.masked_fill(left_out, 0)).masked_fill(left_out, 0.0)

    def reduce(self, losses: Tensor, reduction: Reduction) -> Tensor:
        left_out = self._left_out()
        return LossInputs(losses[..., None], self.rows.labels, None, left_out).reduce(losses, reduction)

    def tensors(self) -> tuple[Tensor, ...]:
        labels, columns = self.rows.labels, self.rows.columns
        return (labels,) if columns is None else (labels, columns)

    def _left_out(self) -> Tensor | None:
        return None if self.rows.ignore_index is None else self.rows.labels == self.rows.ignore_index


def _numbers(settings: Settings) -> tuple[float, ...] | None:
    """Return settings that are one number each as Python numbers; None if there are others."""
    tensors = [setting for setting in settings if isinstance(setting, Tensor)]
    if any(tensor.ndim > 0 or not tensor.is_cpu or tensor.requires_grad for tensor in tensors):
        return None
    if tensors and not ahead.plain_tensors(*tensors):
        return None
    return tuple(float(setting) for setting in settings)


def _of_odds(labels: Tensor, loss: OddsLoss, numbers: tuple[float, ...], ignore_index: int | None) -> LabelLoss:
    def plain(logits: Tensor, labels: Tensor) -> Tensor:
        odds = plain_log_odds(logits, labels)
        return loss.formula(odds, *(as_like(number, odds) for number in numbers))

    return LabelLoss(LabelProbability(labels, loss, numbers, ignore_index=ignore_index), plain)


def apart(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the label's logit, (...), and the other logits, (..., K), -inf for the label.

    The largest of the others is subtracted from both.
    """
    z, index = at_least_float32(logits), labels[..., None]
    top = z.detach().scatter(-1, index, -torch.inf).amax(-1, keepdim=True)
    z = z - top.masked_fill(~top.isfinite(), 0.0)
    return z.gather(-1, index)[..., 0], z.scatter(-1, index, -torch.inf)


def plain_log_odds(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the log-odds of the label with differentiable torch operations."""
    label, others = apart(logits, labels)
    alone = (others == -torch.inf).all(-1)
    odds = label - others.masked_fill(alone[..., None], 0.0).logsumexp(-1)
    return odds.masked_fill(alone, torch.inf).clamp(max=torch.finfo(odds.dtype).max)
