"""Two structured K x K matrices: transitions act on probabilities, label matrices on targets."""

from typing import TYPE_CHECKING as _TYPE_CHECKING

from softtargets._exports import advice as _advice
from softtargets.matrices._label_matrix import LabelMatrix
from softtargets.matrices._transition import Transition

__all__ = ["LabelMatrix", "Transition"]

if not _TYPE_CHECKING:  # a type checker would take every name for one of the room
    __getattr__ = _advice(__name__)
