"""The two structured K x K matrices of the algebra: transitions act on probabilities, smearings on targets."""

from softtargets.matrices._smearing import LabelMatrix
from softtargets.matrices._transition import Transition

__all__ = ["LabelMatrix", "Transition"]
