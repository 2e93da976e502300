"""Rows of a live teacher, as a cache would return them."""

import torch
from torch import Tensor

from softtargets.distill import TeacherRows


def top_rows(k: int, logits: Tensor, temperature: float = 1.0) -> TeacherRows:
    """Return the k largest log-probabilities of a teacher, and the mass of the other classes."""
    log_probs = (logits / temperature).log_softmax(-1)
    kept, classes = log_probs.topk(k, dim=-1)
    tail = log_probs.scatter(-1, classes, -torch.inf).logsumexp(-1)
    return TeacherRows(kept, classes, tail, num_classes=logits.shape[-1], temperature=temperature)
