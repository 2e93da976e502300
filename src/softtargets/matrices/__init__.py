"""Two structured K x K matrices: transitions act on probabilities, label matrices on targets."""

from typing import TYPE_CHECKING as _TYPE_CHECKING

from softtargets._exports import advice as _advice
from softtargets.matrices._label_matrix import LabelMatrix
from softtargets.matrices._transition import Transition

__all__ = ["LabelMatrix", "Transition"]

if not _TYPE_CHECKING:  # otherwise a type checker would accept any attribute name
    __getattr__ = _advice(__name__)
