"""Label smoothing as a loss: variants whose targets follow the model or are learned."""

from softtargets._exports import exported as _exported
from softtargets.losses.smoothing._label_relaxation import *
from softtargets.losses.smoothing._learned import *
from softtargets.losses.smoothing._max_suppression import *

__all__ = _exported(globals())
