"""The estimators of T by name; each registers itself where it is defined."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeVar

from torch import Tensor

from softtargets._errors import fail, unknown
from softtargets.matrices import Transition
from softtargets.noise._joint import ConfidentJoint
from softtargets.noise.estimators.streams import TransitionStream
from softtargets.noise.streaming.columns import ColumnRanks

F = TypeVar("F", bound=Callable[..., Transition | ConfidentJoint])


@dataclass(frozen=True, eq=False)
class Estimator:
    """An estimator of T from probabilities and labels.

    Args:
        name: name of the estimator.
        label: its name on pages.
        function: takes probs (N, K), labels (N,) if it uses them, and settings by keyword.
        stream: makes the same estimator for rows that are read block by block; None if there is none.
        fixed: settings that this name fixes.
    """

    name: str
    label: str
    function: Callable[..., Transition | ConfidentJoint]
    stream: Callable[..., TransitionStream] | None
    fixed: dict[str, Any]

    @cached_property
    def uses_labels(self) -> Literal["observed", "clean"] | None:
        """Which labels it uses in addition to the probabilities; None if it uses none."""
        parameters = inspect.signature(self.function).parameters
        if "clean_labels" in parameters:
            return "clean"
        return "observed" if "labels" in parameters else None

    @cached_property
    def settings(self) -> tuple[str, ...]:
        """Names of the settings that can be chosen."""
        parameters = inspect.signature(self.function).parameters.values()
        names = (entry.name for entry in parameters if entry.kind is entry.KEYWORD_ONLY)
        return tuple(name for name in names if name not in (*self.fixed, "class_dim", "ignore_index", "mask"))

    def streamed(self, num_classes: int, ranks: ColumnRanks) -> TransitionStream:
        """Return a new stream of this estimator, which must have one."""
        assert self.stream is not None
        return self.stream(num_classes, ranks, **self.fixed)

    def __call__(self, probs: Tensor, labels: Tensor, **settings: Any) -> Transition | ConfidentJoint:
        """Return the estimate of the function.

        Raises:
            ValueError: if it has no setting of that name, and as the function does.
        """
        for name, value in settings.items():
            if name not in self.settings:
                known = ", ".join(self.settings) or "it has none"
                raise fail(name, f"a setting of '{self.name}' ({known})", repr(value), "leave it out")
        given = (probs,) if self.uses_labels is None else (probs, labels)
        return self.function(*given, **self.fixed, **settings)


# name -> estimator, in the order of their definition
ESTIMATORS: dict[str, Estimator] = {}


def estimator(
    name: str, *, label: str, stream: Callable[..., TransitionStream] | None = None, **fixed: Any
) -> Callable[[F], F]:
    """Register a function as an estimator of T; it may be registered under several names.

    Args:
        name: name of the estimator.
        label: its name on pages.
        stream: makes the same estimator for rows that are read block by block, with the fixed settings. Audits use the
            estimators that have one.
        fixed: settings of the function that this name fixes.
    """

    def register(function: F) -> F:
        ESTIMATORS[name] = Estimator(name, label, function, stream, fixed)
        return function

    return register


def find_estimator(name: object) -> Estimator:
    """Return the estimator of a name; the error for an unknown one suggests the nearest."""
    if not isinstance(name, str) or name not in ESTIMATORS:
        raise unknown("method", str(name), ESTIMATORS)
    return ESTIMATORS[name]


def observed_label_estimators() -> dict[str, Estimator]:
    """Return, by name, the estimators that need no clean labels."""
    return {name: one for name, one in ESTIMATORS.items() if one.uses_labels != "clean"}


def streamed_estimators() -> dict[str, Estimator]:
    """Return, by name, the estimators for rows that are read block by block; none of them needs clean labels."""
    return {name: one for name, one in ESTIMATORS.items() if one.stream is not None}
