"""The cost of a method in networks."""

from softtargets.measures.registry import measure
from softtargets.runs.record import Record


@measure("networks", label="networks", unit="count")
def networks_of(record: Record) -> float | None:
    """Number of trained networks whose probabilities are averaged. Training and prediction take that many times the
    time of one network. Teachers are not counted, since a student predicts without them.
    """
    return float(record.networks)
