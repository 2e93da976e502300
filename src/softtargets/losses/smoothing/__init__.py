"""Label smoothing as a loss: variants whose targets follow the model or are learned."""

from softtargets.losses.smoothing import _label_relaxation, _learned, _max_suppression
from softtargets.losses.smoothing._label_relaxation import *
from softtargets.losses.smoothing._learned import *
from softtargets.losses.smoothing._max_suppression import *

__all__: list[str] = []
__all__ += _label_relaxation.__all__
__all__ += _learned.__all__
__all__ += _max_suppression.__all__
