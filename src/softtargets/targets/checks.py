"""Checks of targets that other rooms use too."""

from torch import Tensor

from softtargets._checks import check_prior, first_bad, values_visible, where
from softtargets._errors import fail, unknown
from softtargets.targets._targets import Targets

RESIDUALS = ("uniform", "prior", "drop")


def check_spread(targets: Targets) -> None:
    """Require a class that the smoothing may go to, where a mask leaves some out."""
    if targets.valid is None or targets.rest is None:
        return
    if not values_visible(targets.rest, targets.prior, targets.valid):
        return
    there = targets.valid if targets.prior is None else targets.valid & (targets.prior > 0)
    bad = ~there.any(-1) & (targets.rest != 0)
    at = first_bad(bad if targets.ignored is None else bad & ~targets.ignored)
    if at is not None:
        argument = "valid" if targets.prior is None else "prior"
        required = "a class to smooth over" if targets.prior is None else "mass on the valid classes"
        raise fail(argument, required, f"none at {where(at)}", "fix the mask, or leave that example unsmoothed")


def check_residual(residual: str, prior: Tensor | None, size: int) -> None:
    """Require a known residual, with a prior where it needs one; see :func:`softtargets.targets.top_k`."""
    if residual == "ghost":
        remedy = "use residual='drop' and losses.ghost_cross_entropy"
        raise fail("residual", "a target, which a ghost class is not", "'ghost'", remedy)
    if residual not in RESIDUALS:
        raise unknown("residual", residual, RESIDUALS)
    if (residual == "prior") != (prior is not None):
        got = "None" if prior is None else f"one with '{residual}'"
        raise fail("prior", "probabilities with residual='prior', and only then", got, "give both or neither")
    if prior is not None:
        check_prior("prior", prior, size)
