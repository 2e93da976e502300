"""Several teachers as one."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from softtargets._checks import check_entries, check_floating, values_visible
from softtargets._errors import fail, unknown
from softtargets._numerics import at_least_float32, times
from softtargets.distill._inputs import check_temperature

__all__ = ["ensemble"]

AVERAGES = ("probs", "logits")


def ensemble(
    logits: Sequence[Tensor] | Tensor,
    *,
    weights: Sequence[float] | Tensor | None = None,
    average: Literal["probs", "logits"] = "probs",
    temperature: float = 1.0,
) -> Tensor:
    """Average several teachers into one.

    "probs": log sum_m w_m softmax(z_m / T)        "logits": log_softmax(sum_m w_m z_m / T)

    T is `temperature`, at which each member is softened before the average. The result is log-probabilities: a teacher
    for kd_loss at temperature 1. What softens to them at T again is T times the result.

    Args:
        logits: M tensors of shape (..., K), or one of (M, ..., K), float; -inf for a class that a member excludes.
            No gradient goes to them.
        weights: M numbers of at least 0, divided by their sum; None: 1 / M each.
        average: "probs", the mean of the probabilities, or "logits", of the logits: the geometric mean, normalised.
        temperature: T, above 0.

    Returns:
        (..., K) float32 or wider, log-probabilities; with "logits" a class is -inf where one member of weight excludes
        it, with "probs" where all do.

    Raises:
        ValueError: where there is no member, shapes differ, a weight is negative or all are 0, or the temperature or
            average is not one of those above.
        TypeError: where logits are not floating-point.

    Special cases:
        one member, or equal ones, give log_softmax(z / T); weight on one member alone gives that member.

    Notes:
        Hinton et al. 2015 leave the choice of mean open; for "logits" the temperature commutes with the average, for
        "probs" it does not.

    Complexity:
        O(M N K).

    When to use:
        a student is to have the accuracy of several networks at the cost of one.

    Limitations:
        every member runs on every example, or is kept. Members that agree only in being sure add nothing.

    Example:
        >>> members = [torch.tensor([[3.0, 1.0]]).log(), torch.tensor([[1.0, 3.0]]).log()]
        >>> ensemble(members, weights=[1.0, 3.0]).exp().round(decimals=4).tolist()        # .25 * 3/4 + .75 * 1/4
        [[0.375, 0.625]]
    """
    check_temperature("temperature", temperature)
    if average not in AVERAGES:
        raise unknown("average", average, AVERAGES)
    members = at_least_float32(_stacked(logits).detach()) / temperature
    shares = _shares(weights, members)
    if average == "logits":
        return times(shares, members).sum(0).log_softmax(-1)
    return (members.log_softmax(-1) + shares.log()).logsumexp(0)


def _stacked(logits: Sequence[Tensor] | Tensor) -> Tensor:
    members = [logits] if isinstance(logits, Tensor) else list(logits)
    for member in members:
        check_floating("logits", member)
    shapes = [tuple(member.shape) for member in members]
    if len(set(shapes)) > 1:
        raise fail("logits", f"one shape, {shapes[0]}", f"{next(s for s in shapes if s != shapes[0])}", "align them")
    stacked = logits if isinstance(logits, Tensor) else torch.stack(members) if members else torch.empty(0)
    if stacked.ndim < 2 or stacked.shape[0] == 0 or stacked.shape[-1] < 2:
        required = "one member or more, (M, ..., K) with K >= 2"
        raise fail("logits", required, f"shape {tuple(stacked.shape)}", "stack the members in front, classes last")
    return stacked


def _shares(weights: Sequence[float] | Tensor | None, members: Tensor) -> Tensor:
    """Return the members' weights with a sum of 1, shaped to go with them."""
    count = members.shape[0]
    shares = torch.ones(count) if weights is None else torch.as_tensor(weights)
    if shares.shape != (count,):
        raise fail("weights", f"one number for each of {count} members", f"shape {tuple(shares.shape)}", "align them")
    if values_visible(shares):
        required, remedy = "finite numbers of at least 0", "leave that member out"
        check_entries("weights", shares, lambda w: (w >= 0) & w.isfinite(), required, remedy, axis="member")
        if not bool(shares.any()):
            raise fail("weights", "a weight above 0", "0 for every member", "give some member weight")
    shares = shares.to(dtype=members.dtype, device=members.device)
    return (shares / shares.sum()).reshape(-1, *(1,) * (members.ndim - 1))
