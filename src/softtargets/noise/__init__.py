"""Clean labels to observed labels: transitions by name and exact corruption."""

from softtargets.matrices import Transition
from softtargets.noise._corrupt import Corrupted, corrupt
from softtargets.noise._transitions import symmetric

__all__ = ["Corrupted", "Transition", "corrupt", "symmetric"]
