"""Clean labels to observed labels: transitions by name, exact corruption, estimating T, finding wrong labels."""

from softtargets.matrices import Transition
from softtargets.noise._anchors import anchor_counts, anchor_points
from softtargets.noise._bootstrap import TransitionInterval, bootstrap_transition
from softtargets.noise._confident import confident_joint
from softtargets.noise._corrupt import Corrupted, corrupt
from softtargets.noise._dual import dual_t
from softtargets.noise._dynamics import TrainingDynamics
from softtargets.noise._instance import InstanceTransitions, instance_dependent
from softtargets.noise._joint import ConfidentJoint
from softtargets.noise._quality import label_posterior, normalized_margin, self_confidence, suspect_order
from softtargets.noise._suspects import ExpectedWrong, confident_suspects, expected_wrong
from softtargets.noise._transitions import (
    asymmetric_cifar10,
    from_confusion,
    pair_flip,
    random_transition,
    superclass_flip,
    symmetric,
)
from softtargets.noise._trusted import trusted_set
from softtargets.noise.estimators import estimate_transition

__all__ = [
    "ConfidentJoint",
    "Corrupted",
    "ExpectedWrong",
    "InstanceTransitions",
    "TrainingDynamics",
    "Transition",
    "TransitionInterval",
    "anchor_counts",
    "anchor_points",
    "asymmetric_cifar10",
    "bootstrap_transition",
    "confident_joint",
    "confident_suspects",
    "corrupt",
    "dual_t",
    "estimate_transition",
    "expected_wrong",
    "from_confusion",
    "instance_dependent",
    "label_posterior",
    "normalized_margin",
    "pair_flip",
    "random_transition",
    "self_confidence",
    "superclass_flip",
    "suspect_order",
    "symmetric",
    "trusted_set",
]
