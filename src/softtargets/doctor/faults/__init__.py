"""Known faults. Importing this package registers all of them."""

from softtargets.doctor.faults import inputs, labels, means, smoothing, weights
from softtargets.doctor.faults.registry import FAULTS, Effect, Fault, link

__all__ = ["FAULTS", "Effect", "Fault", "inputs", "labels", "link", "means", "smoothing", "weights"]
