"""Ensembles of trained networks: their members as runs, how they are combined, and what this is worth."""

from softtargets.ensembles.combining import MeanLogits, MeanProbs, StackedLogits, WeightedVotes
from softtargets.ensembles.diversity import Diversity, measure_diversity
from softtargets.ensembles.ensemble import Ensemble
from softtargets.ensembles.files import LoadedEnsemble, find_ensemble, load_ensemble
from softtargets.ensembles.job import train_ensemble
from softtargets.ensembles.results import EnsembleResults
from softtargets.ensembles.spec import KINDS, EnsembleSpec

__all__ = [
    "KINDS",
    "Diversity",
    "Ensemble",
    "EnsembleResults",
    "EnsembleSpec",
    "LoadedEnsemble",
    "MeanLogits",
    "MeanProbs",
    "StackedLogits",
    "WeightedVotes",
    "find_ensemble",
    "load_ensemble",
    "measure_diversity",
    "train_ensemble",
]
