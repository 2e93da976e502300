"""Numbers that a claim may rest on without a run: computed, the same on every machine to about the last digit."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from softtargets.studies.exact_gaussians import least_step, noisy, smoothing_limit

if TYPE_CHECKING:
    from torch import Tensor

# Of the linear model that Lukasik et al. 2020's Theorem 1 is tried on: its inputs are the unit vectors.
_CLASSES, _RANK = 4, 5


def _equal_rows() -> float:
    """Eq. 8 where all classes have the same weights, here 1, less Eq. 8 where all are 0."""
    import torch

    weight = torch.ones(_CLASSES, _RANK, dtype=torch.float64)
    return float(_penalty(weight) - _penalty(torch.zeros_like(weight)))


def _penalty(weight: "Tensor") -> "Tensor":
    import torch

    from softtargets import losses

    inputs = torch.eye(_RANK, dtype=torch.float64)
    return losses.smoothing_regularizer(inputs @ weight.T).mean()


EXACT: dict[str, Callable[[], float]] = {
    "separator.noisy": noisy,
    "separator.smoothing.least_step": lambda: least_step("LS"),
    "separator.smoothing.limit": smoothing_limit,
    "separator.l2.least_step": lambda: least_step("L2"),
    "separator.l2_with_intercept.least_step": lambda: least_step("L2 with intercept"),
    "theorem1.equal_rows": _equal_rows,
}
