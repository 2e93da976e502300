"""Calibrators and prediction sets, which are fitted on held-out logits, and confidence scores."""

from typing import TYPE_CHECKING as _TYPE_CHECKING

from softtargets._exports import advice as _advice
from softtargets._exports import exported as _exported
from softtargets.calibration._cross_fit import *
from softtargets.calibration._ensemble import *
from softtargets.calibration._files import *
from softtargets.calibration._histogram import *
from softtargets.calibration._isotonic import *
from softtargets.calibration._scores import *
from softtargets.calibration._temperature import *
from softtargets.calibration._vector import *
from softtargets.calibration.conformal import *

__all__ = _exported(globals())

if not _TYPE_CHECKING:  # otherwise a type checker would accept any attribute name
    __getattr__ = _advice(__name__)
