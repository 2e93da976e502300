"""Analysis of trained models: activations, neural collapse, projections, stability, probes."""

from typing import TYPE_CHECKING as _TYPE_CHECKING

from softtargets._exports import advice as _advice
from softtargets._exports import exported as _exported
from softtargets.analysis._activations import *
from softtargets.analysis._class_means import *
from softtargets.analysis._collapse import *
from softtargets.analysis._gaps import *
from softtargets.analysis._information import *
from softtargets.analysis._probe import *
from softtargets.analysis._projection import *
from softtargets.analysis._separation import *
from softtargets.analysis._shrinkage import *
from softtargets.analysis._speed import *
from softtargets.analysis._stability import *

__all__ = _exported(globals())

if not _TYPE_CHECKING:  # otherwise a type checker would accept any attribute name
    __getattr__ = _advice(__name__)
