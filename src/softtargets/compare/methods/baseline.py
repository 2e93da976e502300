"""Cross entropy, and the methods that use its networks as they are: a temperature, and an ensemble."""

from collections.abc import Mapping
from typing import Any, ClassVar

from softtargets.compare.methods.method import BASELINE, ComparedMethod, compared


@compared(BASELINE, place=0)
class CrossEntropyBaseline(ComparedMethod):
    """Cross entropy, which all methods are compared with."""

    label = "cross entropy"
    objective: ClassVar[Mapping[str, Any]] = {"name": "cross_entropy"}


@compared("temperature", place=1)
class TemperatureOfBaseline(ComparedMethod):
    """Temperature scaling of the networks of cross entropy, fitted on the validation split."""

    label = "temperature scaling"
    objective: ClassVar[Mapping[str, Any]] = {"name": "cross_entropy"}
    trains = False


@compared("ensemble", place=13)
class EnsembleOfBaseline(ComparedMethod):
    """Mean probabilities of networks trained with cross entropy from different seeds.

    Each repetition has networks of its own, so that repetitions are independent of each other.
    """

    label = "ensemble of 3 networks"
    objective: ClassVar[Mapping[str, Any]] = {"name": "cross_entropy"}
    members = 3
