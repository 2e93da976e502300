"""What calibrators of one class at a time share: rows that sum to 1 again, and a share of the uniform distribution."""

import torch
from torch import Tensor

from softtargets._errors import fail
from softtargets._numerics import at_least_float32
from softtargets.calibration._inputs import Examples


def check_uniform(uniform: float) -> None:
    if not 0 <= uniform < 1:
        raise fail("uniform", "at least 0 and below 1", f"{uniform:g}", "0 mixes nothing in; K / (N + K) is add-one")


def class_probs(rows: Examples) -> Tensor:
    """Return softmax of the logits as (K, N) float64: each class's probabilities lie together."""
    probs = torch.empty(rows.num_classes, len(rows), dtype=torch.float64, device=rows.top.device)
    for chunk in rows.chunks():
        probs[:, chunk] = rows.shifted(chunk).softmax(-1).T
    return probs


def normalised(values: Tensor, uniform: Tensor, logits: Tensor) -> Tensor:
    """Return log-probabilities from (K, n) values of the classes, shaped and typed as the logits.

    A row of zeros becomes uniform: no class is favoured where every class says that it is another.
    """
    rows = values.T.reshape(logits.shape)
    total = rows.sum(-1, keepdim=True)
    share = torch.where(total > 0, rows / torch.where(total > 0, total, 1.0), 1 / logits.shape[-1])
    mixed = (1 - uniform) * share + uniform / logits.shape[-1]
    return mixed.log().to(at_least_float32(logits).dtype)
