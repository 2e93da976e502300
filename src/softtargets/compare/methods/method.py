"""The base of the methods that are compared, and their registry."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, ClassVar, TypeVar

from softtargets._errors import fail, unknown
from softtargets.data.dataset import Dataset
from softtargets.objectives import OBJECTIVES
from softtargets.report import numbers

# The method that all others are compared with.
BASELINE = "cross_entropy"


@dataclass(frozen=True)
class DataFacts:
    """What decides whether a method can be used on a data set.

    Args:
        images: whether the inputs are images.
        tokens: whether the inputs are rows of tokens.
        noise: why no label noise can be assumed, in words; empty text if noise was estimated, None if it is not known.
        votes: whether labels are votes of several annotators, or distributions over the classes.
    """

    images: bool
    tokens: bool
    noise: str | None = None
    votes: bool = False

    @classmethod
    def of(cls, dataset: Dataset) -> "DataFacts":
        """Return the facts that are known before anything is trained."""
        return cls(dataset.is_image, dataset.tokenizer is not None, votes=dataset.votes is not None)


@dataclass(frozen=True)
class MethodCandidate:
    """One setting of a method.

    Args:
        method: name of the method.
        label: the method with this setting, in words.
        objective: the table `objective` of a run specification.
        members: number of networks whose mean probabilities are the prediction.
    """

    method: str
    label: str
    objective: Mapping[str, Any] = field(hash=False)
    members: int = 1


class ComparedMethod:
    """A method: an objective, and the values of its hyper-parameters that validation chooses from.

    The first value of each is the usual one, which is taken where the time does not suffice to choose.

    Attributes:
        name: set by :func:`compared`.
        label: the method in words, as in the middle of a sentence.
        objective: the table `objective` of a run specification without the hyper-parameters of `grid`.
        grid: values by the name of the hyper-parameter.
        settings: (values of `grid`) -> what follows the label, such as "0.1".
        members: number of networks that one prediction needs.
        trains: whether networks are trained for it; the others use those of cross entropy.
        of_votes: whether it is only for labels that are votes; it is not mentioned for others.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    objective: ClassVar[Mapping[str, Any]]
    grid: ClassVar[Mapping[str, Sequence[Any]]] = {}
    members: ClassVar[int] = 1
    trains: ClassVar[bool] = True
    of_votes: ClassVar[bool] = False

    @classmethod
    def settings(cls, values: Mapping[str, Any]) -> str:
        """Return the hyper-parameters in words."""
        return ", ".join(numbers.level(value) for value in values.values())

    @classmethod
    def candidates(cls) -> tuple[MethodCandidate, ...]:
        """Return every setting, the usual one first."""
        found = []
        for values in product(*cls.grid.values()):
            named = dict(zip(cls.grid, values, strict=True))
            label = f"{cls.label} {cls.settings(named)}".strip()
            found.append(MethodCandidate(cls.name, label, {**cls.objective, **named}, cls.members))
        return tuple(found)

    @classmethod
    def refused(cls, facts: DataFacts) -> str | None:
        """Return why the method cannot be used on some data, as a clause about "it"; None if it can."""
        if facts.votes:
            return _needs_classes(cls.candidates()[0])
        return "it needs labels that are votes" if cls.of_votes else None


def _needs_classes(candidate: MethodCandidate) -> str | None:
    """Return why a method cannot be trained on votes, as a clause about "it"; None if it can."""
    name = str(candidate.objective["name"])
    if OBJECTIVES[name].parse(candidate.objective).takes_votes:
        return None
    return "it needs one class for each row, and the labels are votes"


METHODS: dict[str, type[ComparedMethod]] = {}
_PLACES: dict[str, int] = {}
Registered = TypeVar("Registered", bound=type[ComparedMethod])


def compared(name: str, *, place: int) -> Callable[[Registered], Registered]:
    """Return a class decorator that enters a method into the registry under this name.

    Args:
        name: as the user writes it.
        place: its place in the registry, which lists methods in ascending order. Those at the end are left out first
            where the time does not suffice for all.

    Raises:
        InputError: if the registry has another class of this name.
    """

    def add(cls: Registered) -> Registered:
        if name in METHODS:
            raise fail("name", "a name that is not registered yet", f"'{name}' for {cls.__name__}", "choose another")
        cls.name = name
        METHODS[name], _PLACES[name] = cls, place
        for other in sorted(METHODS, key=_PLACES.__getitem__):
            METHODS[other] = METHODS.pop(other)
        return cls

    return add


def chosen_methods(names: Sequence[str] | None, facts: DataFacts) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the methods to compare, without the baseline, and why others are not.

    Args:
        names: as the user wrote them; None: all that can be used.
        facts: about the data.

    Returns:
        Names in the order of the registry, and reasons by name.

    Raises:
        InputError: for an unknown name, a name that is given twice, a method that the user named and that the data
            rule out, or no method beside the baseline.
    """
    if names is None:
        fitting = {name: method for name, method in METHODS.items() if facts.votes or not method.of_votes}
        reasons = {name: method.refused(facts) for name, method in fitting.items()}
        usable = [name for name, reason in reasons.items() if reason is None and name != BASELINE]
        return tuple(usable), {name: reason for name, reason in reasons.items() if reason is not None}
    for place, name in enumerate(names):
        if name not in METHODS:
            raise unknown("methods", name, METHODS)
        if name in names[:place]:
            raise fail("methods", "each method once", f"'{name}' twice", "remove one of the two")
        reason = METHODS[name].refused(facts)
        if reason is not None:
            raise fail("methods", "methods that the data allow", f"'{name}' ({reason})", "remove it")
    usable = [name for name in METHODS if name in names and name != BASELINE]
    if not usable:
        others = ", ".join(name for name in METHODS if name != BASELINE)
        raise fail("methods", f"at least one method beside the baseline: {others}", "none", "name one of these")
    return tuple(usable), {}
