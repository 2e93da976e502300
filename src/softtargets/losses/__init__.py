"""Losses: (logits, labels or targets) to one loss per example.

Losses take tensors, and the keywords `class_dim`, `ignore_index`, `mask` and `reduction`. Targets are integer labels
(...), float probabilities in the layout of the logits, or :class:`softtargets.targets.Targets`.

Soft targets: if a loss is defined per label, its value for a target t is the expectation sum_k t_k * (loss of label k),
which is what mixup computes for two labels. Losses that their authors define for distributions follow the authors, and
their docstrings say so: cross entropy, reverse and symmetric cross entropy, forward and backward correction,
bootstrapping, MaxSup, CORES, peer loss and learned smoothing. A loss with neither definition accepts only labels.
"""

from typing import TYPE_CHECKING as _TYPE_CHECKING

from softtargets._exports import advice as _advice
from softtargets._exports import exported as _exported
from softtargets.losses._binary import *
from softtargets.losses._corrections import *
from softtargets.losses._cross_entropy import *
from softtargets.losses._dual_focal import *
from softtargets.losses._focal import *
from softtargets.losses._ghost import *
from softtargets.losses._linear import *
from softtargets.losses._linear_loss import *
from softtargets.losses._loss_bound import *
from softtargets.losses._vocab_parallel import *
from softtargets.losses.penalties import *
from softtargets.losses.reduction import *
from softtargets.losses.robust import *
from softtargets.losses.smoothing import *

__all__ = _exported(globals())

if not _TYPE_CHECKING:  # otherwise a type checker would accept any attribute name
    __getattr__ = _advice(__name__)
