"""Penalties that are added to a loss."""

from softtargets._exports import exported as _exported
from softtargets.losses.penalties._logits import *
from softtargets.losses.penalties._probabilities import *
from softtargets.losses.penalties._transition import *

__all__ = _exported(globals())
