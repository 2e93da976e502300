"""The log-odds of the label, for losses that are a function of its probability.

With ``odds = z_label - logsumexp(z of the others)``, p_label is sigmoid(odds) and 1 - p_label is sigmoid(-odds). Both
keep their digits close to 0 and 1, where the difference 1 - p would lose them.
"""

import torch
from torch import Tensor

from softtargets._native.chunks import Index, by_chunks, deliver, workspace
from softtargets._numerics import at_least_float32
from softtargets.losses._engine.ahead import possible, run


def label_log_odds(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the (...) log-odds of the label, bounded above, and -inf where the label's logit is -inf.

    Args:
        logits: (..., K) float, checked.
        labels: (...) int64, checked.
    """
    kernel = _LogOdds(labels)
    return run(kernel, logits, ahead=False) if possible(logits, labels) else kernel.plain(logits)


def apart(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the label's logit, (...), and the other logits, (..., K), -inf for the label.

    The largest of the others is subtracted from both.
    """
    z, index = at_least_float32(logits), labels[..., None]
    top = z.detach().scatter(-1, index, -torch.inf).amax(-1, keepdim=True)
    z = z - top.masked_fill(~top.isfinite(), 0.0)
    return z.gather(-1, index)[..., 0], z.scatter(-1, index, -torch.inf)


class _LogOdds:
    """The log-odds of the label."""

    def __init__(self, labels: Tensor) -> None:
        self.labels = labels

    def run(self, z: Tensor, scale: Tensor | float | None, gradient: Tensor | None) -> Tensor:
        return by_chunks(self._chunk, z, scale, gradient)

    def _chunk(self, logits: Tensor, index: Index, scale: Tensor | None, gradient: Tensor | None) -> Tensor:
        labels, work = self.labels[index][..., None], workspace(logits, gradient)
        label = work.copy_(logits).gather(-1, labels)
        work.scatter_(-1, labels, -torch.inf)
        top = work.amax(-1, keepdim=True)
        top.masked_fill_(~top.isfinite(), 0.0)
        total = work.sub_(top).exp_().sum(-1, keepdim=True)
        odds = (label - top - total.log()).clamp_(max=torch.finfo(work.dtype).max)
        if gradient is not None and scale is not None:
            scale = scale[..., None] * (total > 0)
            work.mul_(-scale / total.clamp(min=1.0)).scatter_(-1, labels, scale)  # the largest of the others adds 1
            deliver(work, gradient)
        return odds[..., 0]

    def tensors(self) -> tuple[Tensor]:
        return (self.labels,)

    def plain(self, logits: Tensor) -> Tensor:
        label, others = apart(logits, self.labels)
        alone = (others == -torch.inf).all(-1)
        odds = label - others.masked_fill(alone[..., None], 0.0).logsumexp(-1)
        return odds.masked_fill(alone, torch.inf).clamp(max=torch.finfo(odds.dtype).max)
