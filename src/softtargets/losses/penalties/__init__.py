"""Penalties that are added to a loss."""

from softtargets.losses.penalties import _logits, _probabilities, _transition
from softtargets.losses.penalties._logits import *
from softtargets.losses.penalties._probabilities import *
from softtargets.losses.penalties._transition import *

__all__: list[str] = []
__all__ += _logits.__all__
__all__ += _probabilities.__all__
__all__ += _transition.__all__
