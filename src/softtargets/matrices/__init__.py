"""The two structured K x K matrices of the algebra: transitions act on probabilities, smearings on targets."""

from softtargets.matrices._smearing import Smearing
from softtargets.matrices._transition import Transition

__all__ = ["Smearing", "Transition"]
