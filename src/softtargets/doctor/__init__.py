"""What a configured loss of another library computes, and the same with this package."""

from softtargets.doctor.job import diagnose
from softtargets.doctor.results import Diagnosis, Equivalent, FaultFinding, TargetRow

__all__ = ["Diagnosis", "Equivalent", "FaultFinding", "TargetRow", "diagnose"]
