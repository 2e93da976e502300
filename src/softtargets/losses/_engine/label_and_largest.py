"""Targets of two classes: the label and the class of the largest logit."""

from dataclasses import replace

import torch
from torch import Tensor

from softtargets._checks import check_per_example
from softtargets.losses.inputs import paired
from softtargets.targets import Targets, hard


def label_and_largest(
    logits: Tensor, labels: Tensor, on_label: float | Tensor, on_largest: float | Tensor, class_dim: int, *, name: str
) -> Targets:
    """Make targets of two classes, the label and the one that is predicted; `name` is the argument of the weights."""
    moved, labels = paired(logits, labels, class_dim)
    check_per_example(name, on_largest, labels.shape)
    made = hard(labels)
    ones = made.mass()
    index = torch.stack([labels, moved.detach().argmax(-1)], -1)
    return replace(made, index=index, value=torch.stack([on_label * ones, on_largest * ones], -1))
