"""Thin modules over the losses: under torch's keywords, for frameworks, and for what is learned with the model."""

from softtargets.nn import _cross_entropy, _learned_smoothing, _loss, _volminnet
from softtargets.nn._cross_entropy import *
from softtargets.nn._learned_smoothing import *
from softtargets.nn._loss import *
from softtargets.nn._volminnet import *

__all__: list[str] = []
__all__ += _cross_entropy.__all__
__all__ += _learned_smoothing.__all__
__all__ += _loss.__all__
__all__ += _volminnet.__all__
