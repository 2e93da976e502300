"""Several accumulators that are updated together."""

from collections.abc import Iterable, Mapping
from typing import Any, Self, Unpack, overload

from torch import Tensor

from softtargets._arrays import ArrayLike, array_function
from softtargets._errors import fail, fail_type
from softtargets.metrics.accumulators import Accumulator, update_all
from softtargets.metrics.arguments import REQUIRED, UpdateOptions
from softtargets.metrics.rows import chunks

__all__ = ["Collection"]


class Collection:
    """Several accumulators that are updated together. Each row is read and checked once.

    Args:
        accumulators: accumulators by name, or a list of them, which are then named after their classes.

    Aliases:
        MetricCollection

    Example:
        >>> import torch
        >>> from softtargets.metrics import NLL, Accuracy
        >>> collection = Collection({"acc": Accuracy(), "nll": NLL()})
        >>> collection.update(torch.tensor([[0.5, 0.5], [1.0, 0.0]]), torch.tensor([1, 0])).compute()["acc"].item()
        0.5
    """

    def __init__(self, accumulators: Mapping[str, Accumulator] | Iterable[Accumulator]) -> None:
        self.accumulators = _named(accumulators)

    @overload
    def update(self, probs: ArrayLike, labels: ArrayLike, **options: Unpack[UpdateOptions]) -> Self: ...

    @overload
    def update(self, *, logits: ArrayLike, labels: ArrayLike, **options: Unpack[UpdateOptions]) -> Self: ...

    @array_function
    def update(
        self,
        probs: ArrayLike = REQUIRED,
        labels: ArrayLike = REQUIRED,
        *,
        logits: ArrayLike = REQUIRED,
        mask: ArrayLike | None = None,
        ids: ArrayLike | None = None,
        ignore_index: int = -100,
        class_dim: int = -1,
    ) -> Self:
        """Add examples to every accumulator; arguments, result and errors are those of :meth:`Accumulator.update`."""
        options: dict[str, Any] = {"mask": mask, "ids": ids, "ignore_index": ignore_index, "class_dim": class_dim}
        update_all(tuple(self.accumulators.values()), chunks(probs, labels, logits=logits, soft=True, **options))
        return self

    def merge(self, other: "Collection") -> Self:
        """Add the examples of another collection with the same names and settings; the other stays unchanged.

        Raises:
            ValueError: if names, settings or numbers of classes differ. Nothing is merged then.
            TypeError: if `other` is not a collection.
        """
        if not isinstance(other, Collection):
            raise fail_type("other", "a Collection", type(other).__name__, "merge two collections")
        self._check_names("other", other.accumulators)
        for name, one in self.accumulators.items():
            one.check_merge(other.accumulators[name])
        for name, one in self.accumulators.items():
            one.merge(other.accumulators[name])
        return self

    def compute(self) -> dict[str, Tensor]:
        """Return the metrics by name.

        Raises:
            ValueError: if there are no examples.
        """
        return {name: one.compute() for name, one in self.accumulators.items()}

    def reset(self) -> None:
        """Remove all examples."""
        for one in self.accumulators.values():
            one.reset()

    def state_dict(self) -> dict[str, dict[str, Tensor]]:
        """Return the states of the accumulators by name."""
        return {name: one.state_dict() for name, one in self.accumulators.items()}

    def load_state_dict(self, state: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Replace the states by those from :meth:`state_dict` of a collection with the same names and settings.

        Raises:
            ValueError: if names, settings or arrays differ. The collection then stays unchanged.
            TypeError: if it is not a dict of states.
        """
        if not isinstance(state, Mapping):
            raise fail_type("state", "a dict of states", type(state).__name__, "load the result of state_dict()")
        self._check_names("state", state)
        read = {name: one.read_state(state[name]) for name, one in self.accumulators.items()}
        for name, one in self.accumulators.items():
            one._state = read[name]

    def __getitem__(self, name: str) -> Accumulator:
        if name not in self.accumulators:
            raise KeyError(f"{name!r}; the collection has {', '.join(map(repr, self.accumulators))}")
        return self.accumulators[name]

    def __len__(self) -> int:
        return len(self.accumulators)

    def __repr__(self) -> str:
        return f"Collection({', '.join(f'{name}: {one!r}' for name, one in self.accumulators.items())})"

    def _check_names(self, argument: str, named: Mapping[str, object]) -> None:
        if set(named) != set(self.accumulators):
            required, got = (", ".join(sorted(map(str, names))) for names in (self.accumulators, named))
            raise fail(argument, f"the names {required}", got or "none", "use collections of the same names")


def _named(accumulators: object) -> dict[str, Accumulator]:
    required = "accumulators by name, or a list of them"
    if isinstance(accumulators, Accumulator) or not isinstance(accumulators, Iterable):
        remedy = "pass a dict such as {'ece': ECE(), 'accuracy': Accuracy()}"
        raise fail_type("accumulators", required, type(accumulators).__name__, remedy)
    pairs = (
        list(accumulators.items())
        if isinstance(accumulators, Mapping)
        else [(type(one).__name__, one) for one in accumulators]
    )
    named: dict[str, Accumulator] = {}
    for name, one in pairs:
        if not isinstance(one, Accumulator):
            raise fail_type("accumulators", required, type(one).__name__, "pass an instance, such as Accuracy()")
        if name in named:
            raise fail(
                "accumulators", "a list of accumulators of different classes", f"two {name}", "pass a dict with names"
            )
        named[name] = one
    return named
