"""(logits, labels or targets) to one loss per example."""

from softtargets.losses._binary import binary_cross_entropy
from softtargets.losses._correction import backward_corrected_cross_entropy, forward_corrected_cross_entropy
from softtargets.losses._cross_entropy import cross_entropy
from softtargets.losses._focal import dual_focal, focal, sample_dependent_focal
from softtargets.losses._ghost import ghost_cross_entropy
from softtargets.losses._learned import learned_smoothing_cross_entropy
from softtargets.losses._linear import linear_cross_entropy
from softtargets.losses._logit_penalties import adaptive_conditional_penalty, logit_penalty, margin_penalty
from softtargets.losses._normalized import active_passive, normalized_cross_entropy
from softtargets.losses._penalties import (
    confidence_penalty,
    early_learning_penalty,
    smoothing_regularizer,
    volume_penalty,
    zipf_penalty,
)
from softtargets.losses._reduce import reduce
from softtargets.losses._risk import entropy_bound, loss_bound
from softtargets.losses._robust import (
    generalized_cross_entropy,
    label_relaxation,
    mean_absolute_error,
    reverse_cross_entropy,
    symmetric_cross_entropy,
)
from softtargets.losses._rules import bootstrapped_cross_entropy, cores, cores_sieve, max_suppression, peer
from softtargets.losses._split import split_cross_entropy

__all__ = [
    "active_passive",
    "adaptive_conditional_penalty",
    "backward_corrected_cross_entropy",
    "binary_cross_entropy",
    "bootstrapped_cross_entropy",
    "confidence_penalty",
    "cores",
    "cores_sieve",
    "cross_entropy",
    "dual_focal",
    "early_learning_penalty",
    "entropy_bound",
    "focal",
    "forward_corrected_cross_entropy",
    "generalized_cross_entropy",
    "ghost_cross_entropy",
    "label_relaxation",
    "learned_smoothing_cross_entropy",
    "linear_cross_entropy",
    "logit_penalty",
    "loss_bound",
    "margin_penalty",
    "max_suppression",
    "mean_absolute_error",
    "normalized_cross_entropy",
    "peer",
    "reduce",
    "reverse_cross_entropy",
    "sample_dependent_focal",
    "smoothing_regularizer",
    "split_cross_entropy",
    "symmetric_cross_entropy",
    "volume_penalty",
    "zipf_penalty",
]
