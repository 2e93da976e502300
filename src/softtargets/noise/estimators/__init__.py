"""The estimators of T behind :func:`softtargets.noise.estimate_transition`."""

from softtargets._exports import exported as _exported
from softtargets.noise.estimators.anchors import *
from softtargets.noise.estimators.dual import *
from softtargets.noise.estimators.trusted import *

__all__ = _exported(globals())
