"""Split conformal prediction: sets of classes that contain the label with a given probability."""

from softtargets._exports import exported as _exported
from softtargets.calibration.conformal._coverage import *
from softtargets.calibration.conformal._predictor import *
from softtargets.calibration.conformal._scores import *

__all__ = _exported(globals())
