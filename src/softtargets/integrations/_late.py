"""Classes whose base classes belong to a library that is imported when the first of them is used."""

from collections.abc import Callable, Sequence
from types import new_class
from typing import Any

# Classes without their bases by full name, so that they can be documented where their library is not installed.
WITHOUT_BASES: dict[str, type] = {}


def late_classes(namespace: dict[str, Any], names: Sequence[str], bases: Callable[[], tuple[type, ...]]) -> Any:
    """Remove classes without their bases from a module, and return a `__getattr__` that creates the complete ones.

    A complete class has the module and name of the original, so that its objects can be pickled.

    Args:
        namespace: the module's `globals()`.
        names: names of the classes.
        bases: imports the library and returns the bases to append to each class.
    """
    module = namespace["__name__"]
    without = {name: namespace.pop(name) for name in names}
    WITHOUT_BASES.update({f"{module}.{name}": ours for name, ours in without.items()})

    def get(name: str) -> type:
        if name not in without:
            raise AttributeError(f"module '{module}' has no attribute '{name}'")
        ours = without[name]
        named = {"__module__": module, "__doc__": ours.__doc__}
        namespace[name] = new_class(name, (ours, *bases()), exec_body=lambda body: body.update(named))
        return namespace[name]

    return get
