"""The log-odds of the label, for losses that are a function of its probability.

With ``odds = z_label - logsumexp(z of the others)``, p_label is sigmoid(odds) and 1 - p_label is sigmoid(-odds):
neither loses digits, however close to 0 or 1 it is, which 1 - p does.
"""

import torch
from torch import Tensor

from softtargets._numerics import at_least_float32
from softtargets.losses._engine.chunked import possible, run
from softtargets.losses._engine.fused import deliver, workspace
from softtargets.losses._engine.kernel import Index
from softtargets.losses.inputs import paired


def label_log_odds(logits: Tensor, labels: Tensor, *, class_dim: int = -1) -> Tensor:
    """Return the (...) log-odds of the label: finite above, -inf where its own logit is."""
    moved, labels = paired(logits, labels, class_dim)
    kernel = _LogOdds(labels)
    if possible(logits, labels):
        return run(kernel, logits, class_dim=class_dim, ahead=False)
    return kernel.plain(moved)


def apart(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the label's logit, (...), and the others' with -inf in its place, (..., K), less the others' largest."""
    z, index = at_least_float32(logits), labels[..., None]
    top = z.detach().scatter(-1, index, -torch.inf).amax(-1, keepdim=True)
    z = z - top.masked_fill(~top.isfinite(), 0.0)
    return z.gather(-1, index)[..., 0], z.scatter(-1, index, -torch.inf)


class _LogOdds:
    """The log-odds of the label."""

    def __init__(self, labels: Tensor) -> None:
        self.labels = labels

    def chunk(self, logits: Tensor, index: Index, scale: Tensor | None, gradient: Tensor | None) -> Tensor:
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
