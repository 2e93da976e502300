"""Methods that mix pairs of examples."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from softtargets.compare.methods.method import ComparedMethod, DataFacts, compared


@compared("mixup", place=3)
class MixupOfPairs(ComparedMethod):
    """Mixup (Zhang et al. 2018)."""

    label = "mixup"
    objective: ClassVar[Mapping[str, Any]] = {"name": "mixup"}
    grid: ClassVar[Mapping[str, Sequence[Any]]] = {"concentration": (0.2, 0.4, 1.0)}

    @classmethod
    def refused(cls, facts: DataFacts) -> str | None:
        if facts.tokens:
            return "it needs inputs that are numbers, and these are rows of tokens"
        return super().refused(facts)


@compared("cutmix", place=4)
class CutMixOfPairs(ComparedMethod):
    """CutMix (Yun et al. 2019)."""

    label = "CutMix"
    objective: ClassVar[Mapping[str, Any]] = {"name": "cutmix"}
    grid: ClassVar[Mapping[str, Sequence[Any]]] = {"probability": (0.5, 1.0)}

    @classmethod
    def settings(cls, values: Mapping[str, Any]) -> str:
        return f"in {100 * values['probability']:g} % of the batches"

    @classmethod
    def refused(cls, facts: DataFacts) -> str | None:
        return super().refused(facts) if facts.images else "it needs images"
