"""Thin modules over the losses: under torch's keywords, for frameworks, and for what is learned with the model."""

from softtargets.nn._cross_entropy import CrossEntropy
from softtargets.nn._learned_smoothing import LearnedSmoothing
from softtargets.nn._loss import Loss
from softtargets.nn._volminnet import VolMinNet

__all__ = ["CrossEntropy", "LearnedSmoothing", "Loss", "VolMinNet"]
