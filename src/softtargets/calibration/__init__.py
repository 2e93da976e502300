"""Maps fitted on held-out logits that make a model's probabilities true, and scores of how sure it is."""

from softtargets.calibration._cross_fit import CrossFit, cross_fit
from softtargets.calibration._ensemble import EnsembleTemperature
from softtargets.calibration._files import load, save
from softtargets.calibration._histogram import Histogram
from softtargets.calibration._isotonic import Isotonic
from softtargets.calibration._scores import (
    LogitNorm,
    choose_logit_norm,
    logit_normalized,
    margin,
    max_probability,
    negative_entropy,
)
from softtargets.calibration._temperature import Temperature
from softtargets.calibration._vector import Vector

__all__ = [
    "CrossFit",
    "EnsembleTemperature",
    "Histogram",
    "Isotonic",
    "LogitNorm",
    "Temperature",
    "Vector",
    "choose_logit_norm",
    "cross_fit",
    "load",
    "logit_normalized",
    "margin",
    "max_probability",
    "negative_entropy",
    "save",
]
