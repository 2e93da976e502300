"""The error of the transition that a run was trained with."""

from softtargets.measures.registry import measure
from softtargets.noise import from_confusion
from softtargets.runs.record import Record


@measure("transition.distance", label="error of T", unit="fraction")
def transition_distance(record: Record) -> float | None:
    """Total variation between the transition that was used and that of the training labels, mean of rows."""
    used = record.predictions.get("transition")
    if used is None:
        return None
    size = len(used)
    pairs = record.predictions["train.labels"] * size + record.predictions["train.observed"]
    realised = from_confusion(pairs.bincount(minlength=size * size).view(size, size), keep_empty=True)
    return float(realised.total_variation(used).mean())
