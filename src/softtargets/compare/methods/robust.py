"""Losses for labels that may be wrong."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from softtargets.compare.methods.method import ComparedMethod, DataFacts, MethodCandidate, compared


@compared("bootstrapping", place=5)
class BootstrappedTargets(ComparedMethod):
    """Bootstrapping (Reed et al. 2015): soft with the weight of the paper and a smaller one, and hard."""

    label = "bootstrapping"
    objective: ClassVar[Mapping[str, Any]] = {"name": "bootstrapping"}

    @classmethod
    def candidates(cls) -> tuple[MethodCandidate, ...]:
        pairs = (("soft", 0.95), ("soft", 0.8), ("hard", 0.8))
        return tuple(
            MethodCandidate(
                cls.name, f"{kind} {cls.label} {weight:g}", {**cls.objective, "kind": kind, "weight": weight}
            )
            for kind, weight in pairs
        )


@compared("generalized_cross_entropy", place=10)
class TruncatedPower(ComparedMethod):
    """GCE (Zhang & Sabuncu 2018)."""

    label = "generalized cross entropy"
    objective: ClassVar[Mapping[str, Any]] = {"name": "generalized_cross_entropy"}
    grid: ClassVar[Mapping[str, Sequence[Any]]] = {"q": (0.7, 0.3, 0.5)}

    @classmethod
    def settings(cls, values: Mapping[str, Any]) -> str:
        return f"with q {values['q']:g}"


@compared("early_learning", place=11)
class EarlyLearningRegularization(ComparedMethod):
    """ELR (Liu et al. 2020)."""

    label = "ELR"
    objective: ClassVar[Mapping[str, Any]] = {"name": "early_learning", "momentum": 0.7}
    grid: ClassVar[Mapping[str, Sequence[Any]]] = {"weight": (3.0, 1.0, 7.0)}


@compared("forward", place=12)
class ForwardOfEstimate(ComparedMethod):
    """Forward correction (Patrini et al. 2017) with T estimated by the confident joint.

    T is estimated from the predictions of a network of cross entropy on the validation split, and its labels.
    """

    label = "forward correction"
    objective: ClassVar[Mapping[str, Any]] = {
        "name": "forward",
        "transition": {"name": "estimated", "estimator": "confident_joint"},
    }

    @classmethod
    def refused(cls, facts: DataFacts) -> str | None:
        return super().refused(facts) or (f"it needs label noise: {facts.noise}" if facts.noise else None)
