"""Extensions of this study: the kinds of Figures 1 and 5, and the exact numbers of its claims."""

from collections.abc import Callable

from softtargets.studies.lukasik2020.curves import LossCurves
from softtargets.studies.lukasik2020.gaussians import least_step, noisy, smoothing_limit
from softtargets.studies.lukasik2020.separators import SeparatorsOutput
from softtargets.studies.lukasik2020.theorem1 import equal_rows

__all__ = ["EXACT", "LossCurves", "SeparatorsOutput"]

EXACT: dict[str, Callable[[], float]] = {
    "separator.noisy": noisy,
    "separator.smoothing.least_step": lambda: least_step("LS"),
    "separator.smoothing.limit": smoothing_limit,
    "separator.l2.least_step": lambda: least_step("L2"),
    "separator.l2_with_intercept.least_step": lambda: least_step("L2 with intercept"),
    "theorem1.equal_rows": equal_rows,
}
