"""Metrics of predictions against labels, as functions and as accumulators, and bootstrap intervals."""

from typing import TYPE_CHECKING as _TYPE_CHECKING

from softtargets._exports import advice as _advice
from softtargets._exports import exported as _exported
from softtargets.metrics._bins import *
from softtargets.metrics._brier import *
from softtargets.metrics._calibration_error import *
from softtargets.metrics._classification import *
from softtargets.metrics._collection import *
from softtargets.metrics._ece import *
from softtargets.metrics._interval import *
from softtargets.metrics._label_uncertainty import *
from softtargets.metrics._ranking import *
from softtargets.metrics._risk_counts import *
from softtargets.metrics._selective import *
from softtargets.metrics._selective_risk import *
from softtargets.metrics._set_coverage import *
from softtargets.metrics._smooth import *
from softtargets.metrics.accumulators import *

__all__ = _exported(globals())

if not _TYPE_CHECKING:  # otherwise a type checker would accept any attribute name
    __getattr__ = _advice(__name__)
