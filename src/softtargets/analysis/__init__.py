"""What training did to the model."""

from softtargets.analysis._activations import activations
from softtargets.analysis._class_means import class_means, minor_means
from softtargets.analysis._collapse import NeuralCollapse, neural_collapse
from softtargets.analysis._gaps import logit_gap
from softtargets.analysis._information import MutualInformation, mutual_information
from softtargets.analysis._probe import LinearProbe, linear_probe
from softtargets.analysis._projection import ClusterDistances, Projection, cluster_distances, projection
from softtargets.analysis._separation import class_separation, within_class_distance
from softtargets.analysis._shrinkage import smoothed_least_squares
from softtargets.analysis._speed import epochs_to
from softtargets.analysis._stability import inter_class_stability, stability

__all__ = [
    "ClusterDistances",
    "LinearProbe",
    "MutualInformation",
    "NeuralCollapse",
    "Projection",
    "activations",
    "class_means",
    "class_separation",
    "cluster_distances",
    "epochs_to",
    "inter_class_stability",
    "linear_probe",
    "logit_gap",
    "minor_means",
    "mutual_information",
    "neural_collapse",
    "projection",
    "smoothed_least_squares",
    "stability",
    "within_class_distance",
]
