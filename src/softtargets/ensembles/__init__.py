"""Ensembles of trained networks: their members as runs, how they are combined, and what this is worth."""

from softtargets.ensembles.combining import MeanLogits, MeanProbs, StackedLogits, WeightedVotes
from softtargets.ensembles.diversity import Diversity, measure_diversity
from softtargets.ensembles.ensemble import Ensemble
from softtargets.ensembles.files import EnsembleEntry, LoadedEnsemble, find_ensemble, list_ensembles, load_ensemble
from softtargets.ensembles.job import train_ensemble
from softtargets.ensembles.predict import predict_ensemble
from softtargets.ensembles.results import EnsembleResults
from softtargets.ensembles.spec import KINDS, EnsembleSpec

__all__ = [
    "KINDS",
    "Diversity",
    "Ensemble",
    "EnsembleEntry",
    "EnsembleResults",
    "EnsembleSpec",
    "LoadedEnsemble",
    "MeanLogits",
    "MeanProbs",
    "StackedLogits",
    "WeightedVotes",
    "find_ensemble",
    "list_ensembles",
    "load_ensemble",
    "measure_diversity",
    "predict_ensemble",
    "train_ensemble",
]
