"""Known faults, by name, and what a search for them finds."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeVar

from softtargets.doctor.criterion import Criterion
from softtargets.doctor.readers.registry import is_in

Affects = Literal["target", "gradient", "report"]
FAULTS: dict[str, type["Fault"]] = {}
AnyFault = TypeVar("AnyFault", bound="type[Fault]")


@dataclass(frozen=True)
class Effect:
    """What a fault does under one configuration.

    Args:
        effect: what is computed, with its numbers.
        remedy: what to do.
        condition: when it applies; None: always.
    """

    effect: str
    remedy: str
    condition: str | None = None


class Fault(ABC):
    """A computation that is often not what a user expects.

    A subclass has a docstring of one sentence, which is the title of the fault.
    """

    name: ClassVar[str]
    affects: ClassVar[Affects]
    libraries: ClassVar[Mapping[str, str]]
    reads: ClassVar[tuple[str, ...]]
    issues: ClassVar[Mapping[str, str]]

    @abstractmethod
    def find(self, c: Criterion) -> Effect | None:
        """Return what the fault does under a configuration, or None if it does not apply."""

    @classmethod
    def concerns(cls, c: Criterion) -> bool:
        """Return whether the fault is known in this version of the library."""
        return c.library in cls.libraries and is_in(c.version, cls.libraries[c.library])


def fault(
    name: str,
    *,
    affects: Affects,
    libraries: Mapping[str, str],
    reads: tuple[str, ...],
    issues: Mapping[str, str] | None = None,
) -> Callable[[AnyFault], AnyFault]:
    """Return a class decorator that registers a fault.

    Args:
        name: its name.
        affects: what it changes: the target that is learned, the gradient alone, or what is reported.
        libraries: the versions that it concerns, by library, such as {"transformers": "<5.15"}; "" is every version.
        reads: the fields of the criterion that decide.
        issues: an issue that describes it, as owner/name#number, by library.
    """

    def add(cls: AnyFault) -> AnyFault:
        cls.name, cls.affects = name, affects
        cls.libraries, cls.reads, cls.issues = libraries, reads, issues or {}
        FAULTS[name] = cls
        return cls

    return add


def link(issue: str) -> str:
    """Return the address of an issue.

    Example:
        >>> link("pytorch/pytorch#104776")
        'https://github.com/pytorch/pytorch/issues/104776'
    """
    repository, _, number = issue.partition("#")
    return f"https://github.com/{repository}/issues/{number}"
