"""(logits, labels or targets) to one loss per example."""

from softtargets.losses._correction import backward_corrected_cross_entropy, forward_corrected_cross_entropy
from softtargets.losses._cross_entropy import cross_entropy
from softtargets.losses._penalties import early_learning_penalty
from softtargets.losses._reduce import reduce

__all__ = [
    "backward_corrected_cross_entropy",
    "cross_entropy",
    "early_learning_penalty",
    "forward_corrected_cross_entropy",
    "reduce",
]
