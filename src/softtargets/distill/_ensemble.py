"""Average several teachers into one."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from softtargets._checks import check_entries, values_visible
from softtargets._errors import fail, fail_type, unknown
from softtargets._numerics import at_least_float32, times
from softtargets.distill._inputs import check_temperature
from softtargets.targets.checks import check_scores, check_tensor, classes_last, describe

__all__ = ["ensemble"]

AVERAGES = ("probs", "logits")


def ensemble(
    logits: Sequence[Tensor] | Tensor,
    *,
    weights: Sequence[float] | Tensor | None = None,
    average: Literal["probs", "logits"] = "probs",
    temperature: float = 1.0,
    class_dim: int = -1,
) -> Tensor:
    """Average several teachers into one.

    "probs": log sum_m w_m softmax(z_m / T)        "logits": log_softmax(sum_m w_m z_m / T)

    T is `temperature`, at which each member is softened before the average. The result is log-probabilities, to be used
    as teacher_logits of kd_loss at temperature 1. To use them at temperature T, multiply them by T.

    Args:
        logits: M tensors of shape (..., K), or one of (M, ..., K), float; -inf for a class that a member excludes. No
            gradient flows to them.
        weights: M numbers of at least 0, divided by their sum; None: 1 / M each.
        average: "probs": mean of the probabilities; "logits": mean of the logits, which is the normalised geometric
            mean of the probabilities.
        temperature: T, above 0.
        class_dim: dimension of the classes in one member's logits.

    Returns:
        Log-probabilities in the layout of a member's logits, float32 or wider. A class is -inf if all members exclude
        it ("probs"), or if any member with weight does ("logits").

    Raises:
        ValueError: if there is no member, shapes differ, a weight is negative or all are 0, or the temperature or
            average is invalid.
        TypeError: if logits are not floating-point tensors.

    Special cases:
        one member, or equal ones, give log_softmax(z / T); weight on one member only gives that member.

    Notes:
        Hinton et al. 2015 leave the choice of mean open. For "logits" softening before or after the average is the
        same, for "probs" it is not.

    Complexity:
        O(M N K).

    When to use:
        A student should reach the accuracy of several networks at the cost of one.

    Limitations:
        Every member must be run on every example, or its outputs stored. Members that make the same errors add little.

    Example:
        >>> members = [torch.tensor([[3.0, 1.0]]).log(), torch.tensor([[1.0, 3.0]]).log()]
        >>> ensemble(members, weights=[1.0, 3.0]).exp().round(decimals=4).tolist()        # .25 * 3/4 + .75 * 1/4
        [[0.375, 0.625]]
    """
    temperature = check_temperature("temperature", temperature)
    if average not in AVERAGES:
        raise unknown("average", average, AVERAGES)
    members = at_least_float32(_stacked(logits, class_dim).detach()) / temperature
    shares = _shares(weights, members)
    if average == "logits":
        return times(shares, members).sum(0).log_softmax(-1).movedim(-1, class_dim)
    return (members.log_softmax(-1) + shares.log()).logsumexp(0).movedim(-1, class_dim)


def _stacked(logits: Sequence[Tensor] | Tensor, class_dim: int) -> Tensor:
    """Return the members' logits as (M, ..., K)."""
    required = "one member or more, (M, ..., K) with K >= 2"
    if isinstance(logits, Tensor):
        check_scores("logits", logits)
        if logits.ndim < 2 or logits.shape[0] == 0:
            got = f"shape {tuple(logits.shape)}"
            raise fail("logits", required, got, "put the members in front and the classes last")
        # of one member, so that class_dim is the same for a tensor and a list
        return torch.stack([classes_last("logits", member, class_dim) for member in logits])
    if hasattr(logits, "__array__"):
        check_tensor("logits", logits, "tensors, or one tensor with the members in front")
    if not isinstance(logits, Sequence) or isinstance(logits, str):
        remedy = "pass a list of the teachers' logits"
        raise fail_type("logits", "tensors, or one tensor with the members in front", describe(logits), remedy)
    if not logits:
        raise fail("logits", required, "an empty sequence", "pass the logits of at least one teacher")
    members = [classes_last("logits", member, class_dim) for member in logits]
    shapes = [tuple(member.shape) for member in members]
    if len(set(shapes)) > 1:
        raise fail(
            "logits",
            f"one shape, {shapes[0]}",
            f"{next(s for s in shapes if s != shapes[0])}",
            "pass logits of the same examples and classes",
        )
    return torch.stack(members)


def _shares(weights: Sequence[float] | Tensor | None, members: Tensor) -> Tensor:
    """Return the members' weights, normalised and shaped to broadcast over the members."""
    count = members.shape[0]
    required = f"one number for each of {count} members"
    try:
        shares = torch.ones(count) if weights is None else torch.as_tensor(weights)
    except (TypeError, ValueError, RuntimeError):
        raise fail_type("weights", required, describe(weights), "pass a list of floats") from None
    if shares.shape != (count,):
        raise fail("weights", required, f"shape {tuple(shares.shape)}", "pass one weight per member")
    shares = shares.to(dtype=members.dtype, device=members.device)
    if values_visible(shares):
        required, remedy = "finite numbers of at least 0", "leave that member out"
        check_entries("weights", shares, lambda w: (w >= 0) & w.isfinite(), required, remedy, axis="member")
        if not bool(shares.any()):
            raise fail("weights", "a weight above 0", "0 for every member", "give at least one member a weight above 0")
    return (shares / shares.sum()).reshape(-1, *(1,) * (members.ndim - 1))
