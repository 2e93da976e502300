"""Losses that are robust to wrong labels at unknown rates."""

from softtargets.losses.robust import _active_passive, _bootstrapping, _cores, _generalized, _peer, _symmetric
from softtargets.losses.robust._active_passive import *
from softtargets.losses.robust._bootstrapping import *
from softtargets.losses.robust._cores import *
from softtargets.losses.robust._generalized import *
from softtargets.losses.robust._peer import *
from softtargets.losses.robust._symmetric import *

__all__: list[str] = []
__all__ += _active_passive.__all__
__all__ += _bootstrapping.__all__
__all__ += _cores.__all__
__all__ += _generalized.__all__
__all__ += _peer.__all__
__all__ += _symmetric.__all__
