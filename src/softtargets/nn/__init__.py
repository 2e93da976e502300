"""Thin modules over the losses: under torch's keywords, for frameworks, and for what is learned with the model."""

from typing import TYPE_CHECKING as _TYPE_CHECKING

from softtargets._exports import advice as _advice
from softtargets._exports import exported as _exported
from softtargets.nn._cross_entropy import *
from softtargets.nn._learned_smoothing import *
from softtargets.nn._loss import *
from softtargets.nn._volminnet import *

__all__ = _exported(globals())

if not _TYPE_CHECKING:  # a type checker would take every name for one of the room
    __getattr__ = _advice(__name__)
