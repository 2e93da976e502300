"""Helpers of noise generation: checks of rates, rounding of counts, and examples in random order within a class."""

import torch
from torch import Tensor

from softtargets._checks import check_fraction
from softtargets._errors import fail, fail_type


def check_rate(rate: object) -> None:
    """Require one fraction in [0, 1]: a number or a 0-d tensor."""
    if isinstance(rate, Tensor) and rate.ndim > 0:
        remedy = "for rates that differ between classes build the matrix and use noise.Transition.wrap(matrix)"
        raise fail("rate", "one number in [0, 1]", f"a tensor of shape {tuple(rate.shape)}", remedy)
    check_fraction("rate", rate)


def check_generator(generator: object) -> None:
    """Require a generator on the CPU, or None."""
    if generator is None:
        return
    if not isinstance(generator, torch.Generator):
        remedy = "use torch.Generator().manual_seed(0)"
        raise fail_type("generator", "a torch.Generator on the CPU, or None", type(generator).__name__, remedy)
    if generator.device.type != "cpu":
        raise fail("generator", "a torch.Generator on the CPU", f"one on {generator.device}", "use torch.Generator()")


def rounded(wanted: Tensor, generator: torch.Generator | None) -> Tensor:
    """Round (M,) float64 numbers to int64 such that the sum of any consecutive ones is off by less than one.

    The running total is rounded from a random offset, so each number is right on average.
    """
    offset = torch.rand((), generator=generator, dtype=torch.float64)
    # the small term keeps a total that is a whole number up to rounding error from losing an example
    totals = torch.floor(wanted.cumsum(0) + (offset + 1e-9)).long()
    return torch.diff(totals, prepend=totals.new_zeros(1))


def shuffled_by_class(labels: Tensor, num_classes: int, generator: torch.Generator | None) -> Tensor:
    """Return the (N,) rows of (N,) labels in the order of their class, in random order within a class."""
    order = torch.randperm(len(labels), generator=generator, dtype=torch.int32)
    # radix sort: fewer bytes, fewer passes
    narrow = labels.to(torch.int16 if num_classes <= 2**15 else torch.int32)
    grouped = narrow.index_select(0, order).argsort(stable=True)
    return order.index_select(0, grouped).long()


def with_mean(rates: Tensor, weights: Tensor, mean: float) -> Tensor:
    """Move (M,) rates in [0, 1] such that their mean, under weights that sum to 1, is the one given.

    They are scaled towards 0 if the mean is too high, and towards 1 if it is too low, so they stay within [0, 1].
    """
    found = (rates * weights).sum()
    if found > mean:
        return rates * (mean / found)
    return 1 - (1 - rates) * ((1 - mean) / (1 - found).clamp(min=1e-300))  # all rates may be 1 already
