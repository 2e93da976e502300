"""Error of the transition matrix that a run was trained with."""

from softtargets.measures.registry import measure
from softtargets.noise import from_confusion
from softtargets.runs.record import Record


@measure("transition.distance", label="error of T", unit="fraction", bounds=(0.0, 1.0))
def transition_distance(record: Record) -> float | None:
    """Total variation between the transition used and the one realised in the training labels, mean over the rows."""
    used = record.predictions.get("transition")
    if used is None:
        return None
    size = len(used)
    pairs = record.predictions["train.labels"] * size + record.predictions["train.observed"]
    realised = from_confusion(pairs.bincount(minlength=size * size).view(size, size), keep_empty=True)
    return float(realised.total_variation(used).mean())
