"""Labels to targets: the vector `t` of ``loss(z, t) = sum(t) * logsumexp(z) - <t, z>``, kept factored."""

from softtargets.targets._online import OnlineSmoothing, RunningTargets
from softtargets.targets._rules import backward, convert_smoothing, dense, from_table, hard, mix, smooth
from softtargets.targets._targets import Targets

__all__ = [
    "OnlineSmoothing",
    "RunningTargets",
    "Targets",
    "backward",
    "convert_smoothing",
    "dense",
    "from_table",
    "hard",
    "mix",
    "smooth",
]
