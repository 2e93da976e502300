"""What calibrators of one class at a time share: the search for a bin, normalised rows, a uniform share."""

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


def count_below(bounds: Tensor, values: Tensor) -> Tensor:
    """Return how many of the ascending bounds of its row each value is above, (K, n) int64: torch.searchsorted.

    A binary search of steps that every program format has; ONNX, for example, has no searchsorted. NaN is above all
    bounds.

    Args:
        bounds: (K, M) float64.
        values: (K, n) float64.
    """
    most = bounds.shape[1]
    found = torch.zeros_like(values, dtype=torch.int64)
    step = 1 << most.bit_length() >> 1
    while step:
        further = found + step
        # bounds[found : further] are all below the value if the last one is
        last = bounds.gather(1, further.clamp(max=most) - 1)
        found = torch.where((further <= most) & ~(last >= values), further, found)
        step >>= 1
    return found


def normalised(values: Tensor, uniform: Tensor, logits: Tensor) -> Tensor:
    """Return log-probabilities with the shape of the (..., K) logits from (K, n) values of the classes.

    A row of zeros becomes uniform, since then no class is preferred.
    """
    rows = values.T.reshape(logits.shape)
    total = rows.sum(-1, keepdim=True)
    share = torch.where(total > 0, rows / torch.where(total > 0, total, 1.0), 1 / logits.shape[-1])
    mixed = (1 - uniform) * share + uniform / logits.shape[-1]
    return mixed.log().to(at_least_float32(logits).dtype)
