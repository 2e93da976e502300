"""Label smoothing and its relatives."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from softtargets.compare.methods.method import ComparedMethod, MethodCandidate, compared


@compared("label_smoothing", place=2)
class LabelSmoothing(ComparedMethod):
    """Label smoothing (Szegedy et al. 2016)."""

    label = "label smoothing"
    objective: ClassVar[Mapping[str, Any]] = {"name": "cross_entropy"}
    grid: ClassVar[Mapping[str, Sequence[Any]]] = {"smoothing": (0.1, 0.05, 0.2, 0.4)}


@compared("max_suppression", place=8)
class MaxSup(ComparedMethod):
    """MaxSup: smoothing that lowers the largest logit (2025), with a strength that doubles during the training."""

    label = "MaxSup"
    objective: ClassVar[Mapping[str, Any]] = {"name": "max_suppression"}
    grid: ClassVar[Mapping[str, Sequence[Any]]] = {"smoothing": (0.1, 0.2, 0.4)}

    @classmethod
    def candidates(cls) -> tuple[MethodCandidate, ...]:
        # as in the authors' code
        return tuple(
            replace(one, objective={**one.objective, "final_smoothing": 2 * one.objective["smoothing"]})
            for one in super().candidates()
        )


@compared("negative_smoothing", place=9)
class NegativeLabelSmoothing(ComparedMethod):
    """Negative label smoothing (Wei et al. 2022) in the second half of the training."""

    label = "negative smoothing"
    objective: ClassVar[Mapping[str, Any]] = {"name": "negative_smoothing"}
    grid: ClassVar[Mapping[str, Sequence[Any]]] = {"smoothing": (-0.2, -0.1, -0.4)}
