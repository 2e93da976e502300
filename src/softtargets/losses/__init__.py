"""Losses: (logits, labels or targets) to one loss per example."""

from softtargets.losses import (
    _binary,
    _corrections,
    _cross_entropy,
    _focal,
    _ghost,
    _linear,
    _loss_bound,
    _vocab_parallel,
    penalties,
    reduction,
    robust,
    smoothing,
)
from softtargets.losses._binary import *
from softtargets.losses._corrections import *
from softtargets.losses._cross_entropy import *
from softtargets.losses._focal import *
from softtargets.losses._ghost import *
from softtargets.losses._linear import *
from softtargets.losses._loss_bound import *
from softtargets.losses._vocab_parallel import *
from softtargets.losses.penalties import *
from softtargets.losses.reduction import *
from softtargets.losses.robust import *
from softtargets.losses.smoothing import *

__all__: list[str] = []
__all__ += _binary.__all__
__all__ += _corrections.__all__
__all__ += _cross_entropy.__all__
__all__ += _focal.__all__
__all__ += _ghost.__all__
__all__ += _linear.__all__
__all__ += _loss_bound.__all__
__all__ += _vocab_parallel.__all__
__all__ += penalties.__all__
__all__ += reduction.__all__
__all__ += robust.__all__
__all__ += smoothing.__all__
