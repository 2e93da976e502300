"""Label noise: transition matrices, exact corruption of labels, estimation of T, and finding wrong labels."""

from typing import TYPE_CHECKING as _TYPE_CHECKING

from softtargets._exports import advice as _advice
from softtargets._exports import exported as _exported
from softtargets.matrices import Transition as Transition
from softtargets.noise._agreement import *
from softtargets.noise._bootstrap import *
from softtargets.noise._confident import *
from softtargets.noise._corrupt import *
from softtargets.noise._dawid_skene import *
from softtargets.noise._dynamics import *
from softtargets.noise._estimation import *
from softtargets.noise._files import *
from softtargets.noise._instance import *
from softtargets.noise._issues import *
from softtargets.noise._joint import *
from softtargets.noise._mixture import *
from softtargets.noise._multilabel import *
from softtargets.noise._quality import *
from softtargets.noise._range import *
from softtargets.noise._suspects import *
from softtargets.noise._tokens import *
from softtargets.noise._transitions import *
from softtargets.noise._trusted_rate import *

__all__ = _exported(globals())

if not _TYPE_CHECKING:  # otherwise a type checker would accept any attribute name
    __getattr__ = _advice(__name__)
