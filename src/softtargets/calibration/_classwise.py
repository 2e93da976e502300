"""What calibrators of one class at a time share: normalised rows, and a share of the uniform distribution."""

import numbers

import torch
from torch import Tensor

from softtargets._errors import fail, fail_type
from softtargets._numerics import at_least_float32
from softtargets.calibration._inputs import Examples


def check_uniform(uniform: object) -> None:
    remedy = "0 adds nothing; K / (N + K) is add-one smoothing"
    if isinstance(uniform, bool) or not isinstance(uniform, numbers.Real):
        raise fail_type("uniform", "a number of at least 0 and below 1", repr(uniform), remedy)
    if not 0 <= float(uniform) < 1:
        raise fail("uniform", "at least 0 and below 1", f"{float(uniform):g}", remedy)


def class_probs(rows: Examples) -> Tensor:
    """Return softmax of the logits as (K, N) float64, contiguous for each class."""
    probs = torch.empty(rows.num_classes, len(rows), dtype=torch.float64, device=rows.top.device)
    for chunk in rows.chunks():
        probs[:, chunk] = rows.shifted(chunk).softmax(-1).T
    return probs


def probs_of(logits: Tensor) -> Tensor:
    """Return softmax of (..., K) logits as (K, n) float64, as :func:`class_probs` computes it."""
    return logits.double().softmax(-1).reshape(-1, logits.shape[-1]).T.contiguous()


def normalised(values: Tensor, uniform: Tensor, logits: Tensor) -> Tensor:
    """Return log-probabilities with the shape of the (..., K) logits from (K, n) values of the classes.

    A row of zeros becomes uniform, since then no class is preferred.
    """
    rows = values.T.reshape(logits.shape)
    total = rows.sum(-1, keepdim=True)
    share = torch.where(total > 0, rows / torch.where(total > 0, total, 1.0), 1 / logits.shape[-1])
    mixed = (1 - uniform) * share + uniform / logits.shape[-1]
    return mixed.log().to(at_least_float32(logits).dtype)
