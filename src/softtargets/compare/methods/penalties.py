"""Losses that penalise confidence or give confident predictions less weight."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from softtargets.compare.methods.method import ComparedMethod, compared


@compared("confidence_penalty", place=6)
class EntropyPenalty(ComparedMethod):
    """Confidence penalty (Pereyra et al. 2017)."""

    label = "confidence penalty"
    objective: ClassVar[Mapping[str, Any]] = {"name": "confidence_penalty"}
    grid: ClassVar[Mapping[str, Sequence[Any]]] = {"weight": (0.1, 0.03, 0.3)}


@compared("focal", place=7)
class FocalOfGamma(ComparedMethod):
    """Focal loss (Lin et al. 2017; Mukhoti et al. 2020)."""

    label = "focal loss"
    objective: ClassVar[Mapping[str, Any]] = {"name": "focal"}
    grid: ClassVar[Mapping[str, Sequence[Any]]] = {"gamma": (2.0, 1.0, 3.0)}

    @classmethod
    def settings(cls, values: Mapping[str, Any]) -> str:
        return f"with gamma {values['gamma']:g}"
