"""Losses: (logits, labels or targets) to one loss per example."""

from typing import TYPE_CHECKING as _TYPE_CHECKING

from softtargets._exports import advice as _advice
from softtargets._exports import exported as _exported
from softtargets.losses._binary import *
from softtargets.losses._corrections import *
from softtargets.losses._cross_entropy import *
from softtargets.losses._focal import *
from softtargets.losses._ghost import *
from softtargets.losses._linear import *
from softtargets.losses._loss_bound import *
from softtargets.losses._vocab_parallel import *
from softtargets.losses.penalties import *
from softtargets.losses.reduction import *
from softtargets.losses.robust import *
from softtargets.losses.smoothing import *

__all__ = _exported(globals())

if not _TYPE_CHECKING:  # a type checker would take every name for one of the room
    __getattr__ = _advice(__name__)
