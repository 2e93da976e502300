"""Labels to targets: the vector `t` of ``loss(z, t) = sum(t) * logsumexp(z) - <t, z>``, kept factored."""

from softtargets.targets._adaptive import Ramp, smoothing_from_confidence, smoothing_from_margin
from softtargets.targets._convention import convert_smoothing
from softtargets.targets._disturb import disturb
from softtargets.targets._keywords import ClassKeywords, smooth_by_scores
from softtargets.targets._mix import mix
from softtargets.targets._online import OnlineSmoothing, RunningTargets
from softtargets.targets._rules import backward, dense, from_table, hard, smooth
from softtargets.targets._sparse import sample, top_k, votes
from softtargets.targets._tables import confusion_table, hierarchical_table, localized_table, tfidf_table
from softtargets.targets._targets import Targets
from softtargets.targets._weights import example_weights, reweight

__all__ = [
    "ClassKeywords",
    "OnlineSmoothing",
    "Ramp",
    "RunningTargets",
    "Targets",
    "backward",
    "confusion_table",
    "convert_smoothing",
    "dense",
    "disturb",
    "example_weights",
    "from_table",
    "hard",
    "hierarchical_table",
    "localized_table",
    "mix",
    "reweight",
    "sample",
    "smooth",
    "smooth_by_scores",
    "smoothing_from_confidence",
    "smoothing_from_margin",
    "tfidf_table",
    "top_k",
    "votes",
]
