"""Knowledge distillation: losses of a student, and teachers that are cached, averaged or combined."""

from typing import TYPE_CHECKING as _TYPE_CHECKING

from softtargets._exports import advice as _advice
from softtargets._exports import exported as _exported
from softtargets.distill._average import *
from softtargets.distill._consistency import *
from softtargets.distill._decoupled import *
from softtargets.distill._divergences import *
from softtargets.distill._ensemble import *
from softtargets.distill._hidden import *
from softtargets.distill._linear_divergence import *
from softtargets.distill._logits import *
from softtargets.distill._relational import *
from softtargets.distill._smoothness import *
from softtargets.distill._standardized import *
from softtargets.distill._teacher_rows import *
from softtargets.distill._vocabulary import *
from softtargets.distill.cache.collate import *
from softtargets.distill.cache.plan import *
from softtargets.distill.cache.read import *
from softtargets.distill.cache.sequences import *
from softtargets.distill.cache.write import *

__all__ = _exported(globals())

if not _TYPE_CHECKING:  # otherwise a type checker would accept any attribute name
    __getattr__ = _advice(__name__)
