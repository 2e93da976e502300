"""Labels to targets: the vector `t` of ``loss(z, t) = sum(t) * logsumexp(z) - <t, z>``, kept factored."""

from softtargets.targets import (
    _adaptive,
    _disturb,
    _keywords,
    _mix,
    _online,
    _rules,
    _smooth,
    _sparse,
    _tables,
    _targets,
    _weights,
    conventions,
)
from softtargets.targets._adaptive import *
from softtargets.targets._disturb import *
from softtargets.targets._keywords import *
from softtargets.targets._mix import *
from softtargets.targets._online import *
from softtargets.targets._rules import *
from softtargets.targets._smooth import *
from softtargets.targets._sparse import *
from softtargets.targets._tables import *
from softtargets.targets._targets import *
from softtargets.targets._weights import *
from softtargets.targets.conventions import *

__all__: list[str] = []
__all__ += _adaptive.__all__
__all__ += _disturb.__all__
__all__ += _keywords.__all__
__all__ += _mix.__all__
__all__ += _online.__all__
__all__ += _rules.__all__
__all__ += _smooth.__all__
__all__ += _sparse.__all__
__all__ += _tables.__all__
__all__ += _targets.__all__
__all__ += _weights.__all__
__all__ += conventions.__all__
