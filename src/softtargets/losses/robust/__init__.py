"""Losses that are robust to wrong labels at unknown rates."""

from softtargets._exports import exported as _exported
from softtargets.losses.robust._active_passive import *
from softtargets.losses.robust._bootstrapping import *
from softtargets.losses.robust._cores import *
from softtargets.losses.robust._generalized import *
from softtargets.losses.robust._peer import *
from softtargets.losses.robust._symmetric import *

__all__ = _exported(globals())
