"""Losses for the `Trainer` of transformers, and distillation from a cached teacher.

:func:`loss` makes the `compute_loss_func` of a `Trainer` from any loss of this package.
:class:`DistillationTrainerMixin` trains a language model on a :class:`softtargets.distill.TeacherCache` of sequences.

Example:
    >>> import torch
    >>> from types import SimpleNamespace
    >>> compute = loss("cross_entropy", shift=True, label_smoothing=0.1)
    >>> outputs = SimpleNamespace(logits=torch.zeros(1, 3, 4))
    >>> round(float(compute(outputs, torch.tensor([[0, 1, -100]]))), 4)        # log 4: one token is predicted
    1.3863
"""

from softtargets.integrations.transformers._distillation import CachedDistillation, DistillationTrainerMixin
from softtargets.integrations.transformers._loss import loss

__all__ = ["CachedDistillation", "DistillationTrainerMixin", "loss"]
