"""Rules that turn labels into targets: the vector `t` of ``loss(z, t) = sum(t) * logsumexp(z) - <t, z>``."""

from typing import TYPE_CHECKING as _TYPE_CHECKING

from softtargets._exports import advice as _advice
from softtargets._exports import exported as _exported
from softtargets.targets._adaptive import *
from softtargets.targets._disturb import *
from softtargets.targets._keywords import *
from softtargets.targets._mix import *
from softtargets.targets._online import *
from softtargets.targets._pseudo import *
from softtargets.targets._rules import *
from softtargets.targets._smooth import *
from softtargets.targets._sparse import *
from softtargets.targets._tables import *
from softtargets.targets._targets import *
from softtargets.targets._weights import *
from softtargets.targets.conventions import *

__all__ = _exported(globals())

if not _TYPE_CHECKING:  # otherwise a type checker would accept any attribute name
    __getattr__ = _advice(__name__)
