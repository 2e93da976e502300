"""Thin modules over the losses: under torch's keywords, for frameworks, and for what is learned with the model."""

from softtargets._exports import exported as _exported
from softtargets.nn._cross_entropy import *
from softtargets.nn._learned_smoothing import *
from softtargets.nn._loss import *
from softtargets.nn._volminnet import *

__all__ = _exported(globals())
