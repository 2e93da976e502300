"""The steps of an audit, for whoever shows progress."""

from collections.abc import Callable
from dataclasses import dataclass

OnStage = Callable[[str, float], None]


@dataclass(frozen=True)
class AuditStage:
    """One step of an audit: its name, and how much of it is done, in [0, 1]."""

    name: str
    done: float
