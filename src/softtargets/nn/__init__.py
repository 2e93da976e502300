"""Loss modules: a replacement for torch's CrossEntropyLoss, a wrapper for any loss, and losses that learn."""

from typing import TYPE_CHECKING as _TYPE_CHECKING

from softtargets._exports import advice as _advice
from softtargets._exports import exported as _exported
from softtargets.nn._cross_entropy import *
from softtargets.nn._learned_smoothing import *
from softtargets.nn._loss import *
from softtargets.nn._volminnet import *

__all__ = _exported(globals())

if not _TYPE_CHECKING:  # otherwise a type checker would accept any attribute name
    __getattr__ = _advice(__name__)
