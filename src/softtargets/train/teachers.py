"""What the teachers of a run say of a batch: asked once for all rows where inputs stay as they are, else each time."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from softtargets.train.inputs import Inputs
from softtargets.train.trained import ROWS, TrainedModel

# (ids, inputs) -> (M, n, K) logits of M teachers
Teach = Callable[[Tensor, Tensor], Tensor]


def live(teachers: Sequence[TrainedModel]) -> Teach:
    """Ask the teachers about each batch, as the student sees it (augmented alike)."""
    return lambda ids, inputs: torch.stack([teacher.logits(inputs) for teacher in teachers])


def asked_once(teachers: Sequence[TrainedModel], inputs: Inputs, rows: Tensor, num_examples: int) -> Teach:
    """Ask about all training rows before the training; the student's inputs never change, so neither would answers."""
    parts = [live(teachers)(chunk, inputs.batch(chunk)) for chunk in rows.split(ROWS)]
    logits = torch.cat(parts, dim=1)
    place = torch.full((num_examples,), -1, device=logits.device)
    place[rows.to(logits.device)] = torch.arange(len(rows), device=logits.device)
    return lambda ids, inputs: logits[:, place[ids]]
